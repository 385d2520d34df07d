package store

import "time"

// What an operator looks at first.

// Fault is something that does not work now. As text, and so in JSON, it is what it says.
type Fault struct {
	About FaultAbout
	Name  string // of the target or source that it is about
	Says  string // in a sentence: what does not work, and what to do if that is known
}

// FaultAbout is where one sees more of a fault.
type FaultAbout string

// What faults are about.
const (
	FaultOfBridge FaultAbout = ""
	FaultOfTarget FaultAbout = "target"
	FaultOfSource FaultAbout = "source"
	FaultMissed   FaultAbout = "missed" // pushes of a source
	FaultOfRules  FaultAbout = "rules"
)

// MarshalText gives what it says.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.Says), nil }

// UnmarshalText takes what it says.
func (f *Fault) UnmarshalText(text []byte) error {
	f.Says = string(text)
	return nil
}

// TargetState is how the builds of a target do.
type TargetState struct {
	Target  string    `json:"target"`
	Waiting int64     `json:"waiting"`                    // to be called, those that are held included
	Paused  int64     `json:"paused"`                     // of these: held by a pause
	Held    int64     `json:"held"`                       // of these: held by max_running, or behind such a build
	Oldest  time.Time `json:"oldest,omitzero"`            // since when the oldest of the others waits
	Calling int64     `json:"calling"`                    // being called
	Unknown int64     `json:"unknown"`                    // called without an answer
	Running int64     `json:"running"`                    // started, and the end is not known
	Persons int64     `json:"waits_for_person,omitempty"` // of these: wait for a person at the service
	InRules bool      `json:"in_rules"`                   // else its builds wait until it is again
	Asked   time.Time `json:"asked,omitzero"`             // until when the service asked for a pause, because it throttles
	Good    time.Time `json:"good,omitzero"`              // the last call that started a build
	Bad     time.Time `json:"bad,omitzero"`               // the last call that did not
	Error   string    `json:"error,omitempty"`            // what that one gave
}

// SourceState is what is to be told to a code host, and what it did not tell.
type SourceState struct {
	Source   string `json:"source"`
	Statuses int64  `json:"statuses"`        // that it was not told yet
	Missed   int64  `json:"missed"`          // pushes that were missed, and not built
	Error    string `json:"error,omitempty"` // why it takes no statuses now
	Failing  int64  `json:"failing"`         // repositories whose refs could not be read: missed pushes of them are not found
}

// Add counts the builds of one state.
func (s *TargetState) Add(q QueueStat) {
	switch q.State {
	case Waiting:
		s.Waiting += q.Builds
		switch q.Hold {
		case HoldPause:
			s.Paused += q.Builds
		case HoldRunning:
			s.Held += q.Builds
		default:
			s.Oldest = q.Oldest
		}
	case Calling:
		s.Calling += q.Builds
	case Unknown:
		s.Unknown += q.Builds
	case Started, Dead, Superseded, DryRun:
	}
}
