"""Adapters: one module per peer, with the same functions.

    make(url) -> call                   call() makes one blocking call; a peer may be without it
    make_async(url) -> call, close      await call() makes one async call, await close() closes the
                                        client

If the models of a peer are measured separately:

    codec() -> steps                    functions by name: "encode" goes from arguments to the bytes
                                        of a request body, "decode" from parsed JSON to a model,
                                        "from bytes" from the bytes of a response to a model
    MODELS                              the modules that define the classes of that response

Each peer runs in an environment of its own and imports only what is installed there and
`benchmarks.calls`, so that only the peer is timed. A peer without a refill makes the call of its
API that is most like one: a small POST with a small response. Timeouts are long enough that no call
fails because many are in flight; everything else has its default.
"""
