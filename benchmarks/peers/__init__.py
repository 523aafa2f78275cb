"""Adapters: one module a peer, with the same functions.

    make(url) -> call                   call() is one blocking call
    make_async(url) -> call, close      await call() is one, await close() ends the client
    codec() -> encode, decode           the models' part of a call, alone; only of those compared

Each runs in an environment of its own and imports nothing but what is installed there and
`benchmarks.calls`, so that what is timed is the peer. Where a peer has no refill, it makes the call
of its API that is most like one: a small POST that is answered with a small object. Limits of time
are so long that no call fails for being one of many; all else is as it comes.
"""
