"""Performance measurements: `benchmarks/run` and `benchmarks/budget`."""
