"""Runs the peer benchmarks: see README.md for the cases, PROTOCOL.md for what a peer does."""
