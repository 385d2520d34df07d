// Package load measures the cost of a durable acknowledgement with real processes: the
// program, on a disk that syncs, next to a plain Echo handler that reads, verifies and
// decodes the same bodies and stores nothing. It contains only tests.
//
// make bench-load measures for minutes and prints a table. It compares both in one run,
// because machines differ and are noisy. make test sends a few deliveries, to see that the
// tests work; it measures nothing. docs/performance.md has the figures.
package load
