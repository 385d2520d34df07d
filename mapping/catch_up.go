package mapping

import "time"

// CatchUp says how the pushes of a source are found whose delivery never came.
type CatchUp struct {
	Every time.Duration // how often the refs of a repository are looked at; DefaultCatchUp if not set
	Build bool          // what was missed is built; else it is only reported
}

// DefaultCatchUp is how often refs are looked at where a source says nothing else.
const DefaultCatchUp = 15 * time.Minute
