"""Benchmarks: not tests, not in the gate. ``make bench`` runs them all and prints tables."""
