package mapping

import "time"

// CatchUp says how the pushes of a source are found whose delivery never came.
type CatchUp struct {
	Every time.Duration // how often the refs of a repository are looked at; DefaultCatchUp if not set
	Build bool          // what was missed is built; else it is only reported
}

// DefaultCatchUp is how often refs are looked at where a source says nothing else.
const DefaultCatchUp = 15 * time.Minute

// shortCatchUp is from where on looks are no load on a host.
const shortCatchUp = time.Minute

// catchUp checks how the missed pushes of a source are found, nil for not at all.
func (s scope) catchUp(source *sourceDocument, field string) *CatchUp {
	doc := source.CatchUp
	if doc == nil {
		return nil
	}
	field += ".catch_up"
	out := &CatchUp{Every: doc.Every.Or(DefaultCatchUp), Build: doc.Missed.Value == "build"}
	if source.API == nil && !source.MayHave("api") {
		s.fault(doc.At, field, "needs api: refs are read with its token")
	}
	if out.Every < shortCatchUp {
		s.warn(doc.Every.At, field+".every",
			"each repository is looked at every %v: many code hosts throttle that, and a delivery may still be on its way. Write 1m or more",
			out.Every)
	}
	return out
}
