// Package store keeps deliveries and builds, and wakes whoever works them.
//
// The builds table is the only truth. A River job is no more than a wake-up for
// one of its rows: working a finished row does nothing, and a row that lost its
// job gets a new one ([Store.Sweep]). Deliveries, builds and wake-ups of one
// acceptance are committed in one transaction, and those that arrive together
// share it ([Store.Accept] returns after that commit).
//
// Every change of a build names the version it was read at, so that of two who
// work one row only one goes on ([ErrStale]). A build number of the service is
// claimed once per service and job.
package store
