package mapping

import (
	"time"

	"buildbridge/mapping/internal/yamldoc"
)

// Concurrency says what the builds of one rule, repository, ref and job do to each other.
// The zero value means nothing but their order.
type Concurrency struct {
	Replace    Replace
	MaxRunning int           // more of them wait until one ends; 0 for no limit
	Settle     time.Duration // how long a build waits for a newer push
}

// Replace says which earlier builds of pushes a newer one replaces.
type Replace string

// The values of Replace.
const (
	ReplaceNone    Replace = ""
	ReplaceWaiting Replace = "waiting" // those that still wait
	ReplaceRunning Replace = "running" // these, and those that run are stopped after the newer one was started
)

// concurrency checks what is asked of the builds of a rule.
func (s scope) concurrency(doc *concurrencyDocument, when *clauses) Concurrency {
	if doc == nil || doc.Word.Value == "none" {
		return Concurrency{}
	}
	c := Concurrency{Replace: Replace(doc.Replace.Value), MaxRunning: int(doc.MaxRunning.Value), Settle: doc.Settle.Value}
	if c == (Concurrency{}) && !doc.Word.At.Known() && !doc.MayHave("replace", "max_running", "settle") {
		s.fault(doc.At, "concurrency", "empty: write newest, none, or some of replace, max_running and settle")
	}
	if c.Replace == ReplaceNone && (doc.Word.At.Known() || c.Settle > 0) {
		c.Replace = ReplaceWaiting
	}
	if when.push == nil && when.tag != nil {
		s.warn(doc.At, "concurrency", "without effect: builds of tags are never replaced, held or stopped, and this rule is for tags only")
	}
	return c
}

// checkConcurrency says what the targets of a rule cannot do for its concurrency.
func (r draft) checkConcurrency(targets map[string]*Target) {
	doc := r.concurrency
	if doc == nil {
		return
	}
	running := doc.Replace.At
	if Replace(doc.Replace.Value) != ReplaceRunning {
		running = yamldoc.Position{}
	}
	for i := range r.rule.jobs {
		target := targets[r.rule.jobs[i].target]
		if target == nil {
			continue
		}
		for _, field := range []struct {
			name string
			at   yamldoc.Position
		}{{"max_running", doc.MaxRunning.At}, {"replace", running}} {
			if field.at.Known() && !target.Follow {
				r.fault(field.at, "concurrency."+field.name,
					"jobs[%d] runs at target %q, which has follow: false: nobody knows which of its builds run", i, target.Name)
			}
		}
		if settle := r.rule.concurrency.Settle; settle >= target.RetryFor {
			r.warn(doc.Settle.At, "concurrency.settle", "target %q gives a build up before that: its retry_for is not longer", target.Name)
		}
	}
}
