"""Plain implementations that the benchmarks compare with: what a user would write, or take from a toolkit."""
