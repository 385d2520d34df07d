// Package doctor asks the services and code hosts that rules name whether all is well: targets
// about their credentials and jobs, sources about their secrets, and the hosts of sources with
// api about the token, the repositories and their webhooks. It only reads, and starts no build.
//
// What it finds is told as it is known, one [Finding] after the other, those of a target or a
// source together. What a service or a host does not let it see is no fault.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping"
)

// Doctor looks at a set of rules. Rules and Tell are required.
type Doctor struct {
	Rules *mapping.Ruleset
	// Sources and Targets are the names of those to look at; if both are empty, all.
	Sources, Targets []string
	// URL is where code hosts reach the bridge, without /webhooks; "" if that is not known: then
	// any webhook whose path ends in /webhooks/SOURCE is taken for ours.
	URL string

	// Tell is called with each finding.
	Tell func(Finding)
	// Count is told at least once a second how much of a target or a source is done, while it is
	// waited for; what is such as `target "north"`. It may be nil. Tell and Count are never called
	// at once.
	Count func(what string, done, of int)
}

// Finding is what was found out about one thing.
type Finding struct {
	Source     string         `json:"source,omitempty"` // either this or Target is set
	Target     string         `json:"target,omitempty"`
	Repository string         `json:"repository,omitempty"` // of the source
	Action     mapping.Action `json:"action,omitzero"`
	JobID      string         `json:"job_id,omitempty"`     // of the target: of a job or of a pipeline
	ProjectID  string         `json:"project_id,omitempty"` // of the pipeline
	Job        string         `json:"job,omitempty"`        // its name in the console, if that is known
	Rules      []string       `json:"rules,omitempty"`      // that run it
	OK         bool           `json:"ok"`
	Skipped    bool           `json:"skipped,omitempty"` // not asked: OK means only that nothing failed
	Unseen     bool           `json:"unseen,omitempty"`  // asked, and not to be seen: likewise
	Message    string         `json:"message"`           // one line: how it is, or what is wrong and what to do

	Warnings []string `json:"warnings,omitempty"` // one line each, about the same thing
}

// Verdict is the finding in a word.
func (f Finding) Verdict() string {
	switch {
	case !f.OK:
		return "FAILED"
	case f.Skipped:
		return "not asked"
	case f.Unseen:
		return "not seen"
	}
	return "ok"
}

// Group names the source or the target.
func (f Finding) Group() string {
	if f.Source != "" {
		return fmt.Sprintf("source %q", f.Source)
	}
	return fmt.Sprintf("target %q", f.Target)
}

// Subject names the thing within its group: a job or a pipeline with the rules that run it, a repository, ""
// for the source or the target itself.
func (f Finding) Subject() string {
	switch {
	case f.JobID != "" && f.Job != "":
		return fmt.Sprintf("%s %s (%s) of %s", f.Action, f.JobID, f.Job, strings.Join(f.Rules, ", "))
	case f.JobID != "":
		return fmt.Sprintf("%s %s of %s", f.Action, f.JobID, strings.Join(f.Rules, ", "))
	}
	return f.Repository
}

// Run looks at targets, then at sources. It ends early if ctx does.
func (d *Doctor) Run(ctx context.Context) {
	all := len(d.Sources)+len(d.Targets) == 0
	for _, t := range d.Rules.Targets() {
		if (all || slices.Contains(d.Targets, t.Name)) && ctx.Err() == nil {
			d.target(ctx, t)
		}
	}
	for _, s := range d.Rules.Sources() {
		if (all || slices.Contains(d.Sources, s.Name)) && ctx.Err() == nil {
			d.source(ctx, s)
		}
	}
}

// Online is the part about targets, and about the secrets of sources.
func (d *Doctor) Online(ctx context.Context) {
	for _, s := range d.Rules.Sources() {
		d.Tell(secretsOf(s))
	}
	for _, t := range d.Rules.Targets() {
		if ctx.Err() == nil {
			d.target(ctx, t)
		}
	}
}

// counter tells how much of something is done.
func (d *Doctor) counter(what string, of int) func(done int) {
	return func(done int) {
		if d.Count != nil {
			d.Count(what, done, of)
		}
	}
}

// oneLine puts joined errors into one line, each without the prefix that the finding shows
// already.
func oneLine(err error, prefix string) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, prefix)
	}
	return strings.Join(lines, "; ")
}

const (
	atOnce = 4 // questions to one service or host
	tick   = time.Second
)

// each asks n questions, at most atOnce at a time, and hands the answers over in order. The
// first is asked alone: if it tells that the others are of no use, they are not asked. hand
// returns false to end that; it says how many answers were handed over then.
func each[T any](
	ctx context.Context, n int, ask func(ctx context.Context, i int) T, hand func(i int, answer T) bool, count func(done int),
) int {
	ctx, cancel := context.WithCancel(ctx)
	answers := make([]chan T, n)
	for i := range answers {
		answers[i] = make(chan T, 1)
	}
	slots := make(chan struct{}, atOnce)
	ended := make(chan struct{})
	defer func() {
		cancel()
		<-ended
	}()
	first := make(chan struct{})
	done := make(chan struct{}, n)
	go func() {
		defer close(ended)
		for i := range n {
			slots <- struct{}{}
			if ctx.Err() == nil {
				go func() {
					defer func() { <-slots }()
					answers[i] <- ask(ctx, i)
					done <- struct{}{}
				}()
			} else {
				<-slots
			}
			if i == 0 {
				select {
				case <-first:
				case <-ctx.Done():
				}
			}
		}
		for range atOnce { // all that were begun have ended
			slots <- struct{}{}
		}
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	answered := 0
	for i := range n {
		for waiting := true; waiting; {
			select {
			case answer := <-answers[i]:
				if !hand(i, answer) {
					return i + 1
				}
				waiting = false
			case <-done:
				answered++
			case <-ticker.C:
				count(answered)
			case <-ctx.Done():
				return i
			}
		}
		if i == 0 {
			close(first)
		}
	}
	return n
}
