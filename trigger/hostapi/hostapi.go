// Package hostapi tells code hosts what became of a build, by statuses on commits, and asks them
// for the branches and tags of a repository. Each family of hosts is one file; they share one way
// to send a request (send.go), and one to read refs (refs.go).
package hostapi

import (
	"fmt"
	"time"
)

// State is the state of a status on a commit.
type State string

// The states of a status. A host that has no word for one shows the nearest it has.
const (
	Pending  State = "pending"  // accepted, and not started by the service yet
	Running  State = "running"  // told to hosts of which SaysRunning is true
	Success  State = "success"  // the build succeeded
	Failure  State = "failure"  // the build failed, or took too long
	Error    State = "error"    // the build was not started, or its end is not known
	Canceled State = "canceled" // a newer build took its place, or a person stopped it
)

// Status is what is to be said on a commit.
type Status struct {
	Repository string // full name, as in the event: acme/shop, group/sub/project
	Commit     string // the id of a commit, not of a tag object
	Ref        string // full ref
	Context    string // the same for all builds of a rule, or job, on a branch or a tag

	State       State
	Description string // one line; a client cuts it to what its host takes
	TargetURL   string // where people read more; "" for nowhere. A client drops one that is too long

	// Previous is what Post returned for the status before of the same build; "" for none.
	Previous string
	// Begun and Ended are when the build was started and when it ended; zero if it was or did not.
	Begun, Ended time.Time
}

// Fate says what to do about a status that could not be set, or refs that could not be read.
type Fate int

// The fates.
const (
	FateAgain  Fate = iota // try again, after Refusal.After
	FateFinal              // the host will never take it, or never show this repository
	FateSource             // try again later; until then nothing of this source will succeed
)

// The codes of a refusal that are not HTTP statuses.
const (
	CodeTimeout = "timeout"  // sent, and no answer came
	CodeNotSent = "not_sent" // no connection, or nothing was tried
	// CodePage is for a 2xx that is not the API's: a sign-in page, JSON that breaks off, or refs
	// that are not as the protocol of Git has them. A 203, which is always one, keeps its status.
	CodePage = "page"
)

// Refusal is why a status was not set, or refs were not read. Its text says what is wrong and what to do about it,
// and has neither the token nor more of the answer than one line.
type Refusal struct {
	Fate   Fate
	After  time.Duration // what the host asked for, at most an hour; 0 if it asked for nothing
	Code   string        // the HTTP status as text, or one of the codes above
	Reason string
	Err    error // of the network; nil if the host answered
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %v", r.Reason, r.Err)
	}
	return r.Reason
}

// Unwrap gives the error of the network.
func (r *Refusal) Unwrap() error { return r.Err }
