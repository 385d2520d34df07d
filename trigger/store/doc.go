// Package store keeps deliveries and builds in SQLite or PostgreSQL, and hands out the
// builds that are due.
//
// The builds table is the only truth, and the queue: each row says when to look at it
// next, and which process works it now. A process takes rows that are due ([Store.Due]),
// and has them until it saves or releases them, or its lease ends. A delivery and its
// builds are committed in one transaction ([Store.Accept]); deliveries that arrive at the
// same time share it.
//
// Every change of a build names the version of the row that was read: if two processes
// work the same row, only the first one can save it ([ErrStale]). A build number of the
// service belongs to one build of a service and job.
//
// All statements are in the files of this package, and are the same for both databases:
// sqlite.go and postgres.go have what differs.
package store
