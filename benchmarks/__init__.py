"""How fast the client is, beside others; `benchmarks/run` and `benchmarks/budget`."""
