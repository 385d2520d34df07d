// Package load measures what a durable acknowledgement costs, with real
// processes: the program as it is released, on a disk that syncs, next to a bare
// Echo handler that reads, verifies and decodes the same bodies and keeps
// nothing. It has nothing but tests.
//
// make bench-load runs all of it, for minutes, and prints a table: ratios in one
// run, because machines differ and are noisy. In make test it sends a few
// deliveries, so that it keeps working; nothing there depends on the time.
// docs/performance.md has the figures and how they were taken.
package load
