package store

import (
	"context"
	"time"
)

// Status is one row of the statuses table: the status of the newest build of a context on a
// commit.
type Status struct {
	Seq        int64
	Source     string
	Repository string
	Commit     string
	Context    string
	Build      string // the id of the build that the status is about

	Sent      string // the state that the host was told last; "" for none
	SentBuild string // the build that it was about
	Ref       string // what the host answered: the id of a check run or of a pipeline
	Attempts  int    // how often in a row the host did not take it
	Since     time.Time
	Reason    string // why the host does not take it

	version int64
}

// reportBuilds makes the statuses of builds due that were changed in this transaction.
func reportBuilds(context.Context, *tx, []*Build) error { return nil }
