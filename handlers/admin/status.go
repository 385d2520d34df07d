package admin

import (
	"time"

	"buildbridge/trigger/store"
)

// Status is a status on a commit at a code host.
type Status struct {
	Source     string `json:"source"`
	Repository string `json:"repository"`
	Commit     string `json:"commit"`
	Context    string `json:"context"`
	Build      string `json:"build"` // the newest build of this commit and context: the status is about it

	Told      string    `json:"told,omitempty"`       // the state that the host was told last, "waits" or "unknown"
	ToldBuild string    `json:"told_build,omitempty"` // the build that it was told about
	Since     time.Time `json:"since,omitzero"`       // since when it should be told another
	Reason    string    `json:"reason,omitempty"`     // why it does not take it
	Attempts  int       `json:"attempts,omitempty"`   // in a row without success
	DueAt     time.Time `json:"due_at,omitzero"`      // when it is looked at next; unset if there is nothing to say, ever again
}

func newStatus(s *store.Status) *Status {
	if s == nil {
		return nil
	}
	return &Status{
		Source: s.Source, Repository: s.Repository, Commit: s.Commit, Context: s.Context, Build: s.Build,
		Told: s.Sent, ToldBuild: s.SentBuild, Since: s.Since, Reason: s.Reason, Attempts: s.Attempts, DueAt: s.DueAt,
	}
}
