"""What the benchmarks start beside each other: our service, and what the peers need."""
