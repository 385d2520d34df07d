// Package store keeps deliveries and builds, and notifies whoever works them.
//
// The builds table is the only truth, and the queue: a row says when to look at it
// next, and who has it now. Whoever takes rows that are due ([Store.Due]) has them
// until it saves or releases them, or its lease ends. A delivery and its builds are
// committed in one transaction, and those that arrive together share it
// ([Store.Accept] returns after that commit).
//
// Every change of a build names the version it was read at, so that of two who
// work one row only one goes on ([ErrStale]). A build number of the service is
// claimed once per service and job.
package store
