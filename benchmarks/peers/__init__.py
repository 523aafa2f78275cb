"""Adapters: one module a peer, with the same functions.

    make(url) -> call                   call() is one blocking call
    make_async(url) -> call, close      await call() is one, await close() ends the client

Where models are compared alone:

    codec() -> steps                    by name: "encode" goes from arguments to the bytes of a
                                        body, "decode" from parsed JSON to a model, "from bytes"
                                        from the bytes of an answer to one
    MODELS                              the modules that define the classes of that answer

Each runs in an environment of its own and imports nothing but what is installed there and
`benchmarks.calls`, so that what is timed is the peer. Where a peer has no refill, it makes the call
of its API that is most like one: a small POST that is answered with a small object. Limits of time
are so long that no call fails for being one of many; all else is as it comes.
"""
