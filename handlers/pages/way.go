package pages

import (
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// step is a step of the way of a build.
type step struct {
	Name string
	Kind string // a class of the style sheet; "" if the build has not got there
	Word string // what is said beside the name where Kind alone would say it: now, not yet, never
	At   time.Time
	Text string

	Day      bool      // At is on another day than the time before it
	Next     time.Time // when the build is looked at next
	LastCall time.Time // if there were several
}

// What a step that was not reached says.
const (
	notYet = "not yet"
	never  = "never"
)

// wayOf gives the way of a build from its delivery to its end, with the times that are known.
func wayOf(b *admin.BuildDetail) []step {
	way, day := stepsOf(b), ""
	for i := range way {
		if s := &way[i]; !s.At.IsZero() {
			on := s.At.UTC().Format(time.DateOnly)
			s.Day, day = on != day, on
		}
	}
	return way
}

func stepsOf(b *admin.BuildDetail) []step {
	received := step{Name: "Received", Kind: "good", At: b.ReceivedAt}
	if b.ReplayOf != "" {
		received.Name = "Replay asked for"
	}
	way := []step{received, {Name: "Committed", Kind: "good", Word: "before the answer"}}
	if !b.ResumedAt.IsZero() {
		way = append(way, step{Name: "Held", Kind: "good", At: b.ResumedAt, Text: "A pause held it until then."})
	}
	if b.Attempts > 0 {
		called := calledStep(b)
		if waited := called.At.Sub(b.ReceivedAt); !called.At.IsZero() && waited >= time.Second && b.ResumedAt.IsZero() {
			way = append(way, step{Name: "Held", Kind: "good", Text: "It waited for " + lasted(waited.Seconds()) +
				": for a newer push that may come, for builds before it, or for a place at its target."})
		}
		way = append(way, called)
	}
	later := notYet
	switch b.State {
	case store.Waiting:
		way = append(way, heldStep(b))
	case store.Calling: // as the step before says
	case store.Unknown:
		way = append(way, step{
			Name: "Looked for", Kind: "warn", Word: "now", Next: b.DueAt,
			Text: "No answer came to the call: the records of the service say whether it was started. " + b.Reason,
		})
	case store.Started:
		return append(way, serviceSteps(b)...)
	case store.Dead, store.Superseded, store.DryRun:
		later = never
		way = append(way, endStep(b))
	}
	if b.Attempts == 0 {
		way = append(way, step{Name: "Called", Word: later})
	}
	for _, name := range []string{"Started", "Queued", "Running", "Ended"} {
		way = append(way, step{Name: name, Word: later})
	}
	return way
}

// heldStep says what a build waits for.
func heldStep(b *admin.BuildDetail) step {
	s := step{Name: "Held", Kind: "wait", Word: "now", Text: b.Reason, Next: b.DueAt}
	switch {
	case !b.PausedAt.IsZero():
		s.Kind, s.At = "warn", b.PausedAt
	case b.Reason == "" && b.Attempts == 0 && b.ResumedAt.IsZero() && b.DueAt.Sub(b.ReceivedAt) >= time.Second:
		s.Text = "It settles: a newer push before then would take its place."
	case b.Reason == "":
		s.Text = "It waits for its turn."
	}
	return s
}

// calledStep is about the calls of a build.
func calledStep(b *admin.BuildDetail) step {
	s := step{Name: "Called", Kind: "good", At: b.CalledAt}
	var calls []time.Time
	for _, a := range b.Log {
		if isCall(a) {
			calls = append(calls, a.At)
		}
	}
	if b.State == store.Calling {
		s.Kind, s.Word = "busy", "now"
		calls = append(calls, b.CalledAt) // its attempt is not recorded yet
	}
	if b.Attempts > 1 {
		s.Text, s.LastCall = printable.Count(b.Attempts, "call"), b.CalledAt
		s.At = time.Time{}
		if len(calls) == b.Attempts { // else the first ones are forgotten
			s.At = calls[0]
		}
	}
	return s
}

// isCall says that an attempt is a call, and neither a search nor an end without either.
func isCall(a admin.Attempt) bool {
	return !a.Search && (a.Duration > 0 || a.Outcome != store.Dead && a.Outcome != store.DryRun)
}

// attempted says what an attempt was.
func attempted(a admin.Attempt) string {
	switch {
	case isCall(a):
		return "call"
	case a.Times > 1:
		return printable.Count(a.Times, "search") + " in a row, the last one"
	case a.Search:
		return "search"
	}
	return "end without a call"
}

// endStep is the end of a build that was not started.
func endStep(b *admin.BuildDetail) step {
	s := step{Name: "Dead", Kind: kind(b.State), Text: b.Reason}
	switch {
	case b.State == store.Superseded:
		s.Name = "Superseded"
	case b.State == store.DryRun:
		s.Name, s.Text = "Dry run", "It would have been called."
	case b.Canceled():
		s.Name = "Canceled"
	}
	if n := len(b.Log); n > 0 && b.Log[n-1].Outcome == b.State {
		s.At = b.Log[n-1].At
	}
	return s
}

// serviceSteps are the steps of a build that was started.
func serviceSteps(b *admin.BuildDetail) []step {
	started := step{
		Name: "Started", Kind: "good", At: b.StartedAt,
		Text: sentence(b.Action.Numbered(b.BuildNumber)) + " of its " + b.Action.String() + ".",
	}
	if b.Adopted {
		started.Text += " It was found in the records of the " + b.Action.String() + "."
	}
	queued, running, ended := step{Name: "Queued"}, step{Name: "Running"}, step{Name: "Ended", Word: notYet}
	switch {
	case b.Result == store.NoResult:
		queued.Word, running.Word, ended.Word = "not known", "not known", "not known"
		ended.Text = "Builds of this target are not followed."
	case !b.RunningAt.IsZero():
		queued.Kind, queued.Text = "good", took(b.StartedAt, b.RunningAt)
		running.Kind, running.At = "good", b.RunningAt
		if b.Result == store.Running {
			running.Kind, running.Word = "busy", "now"
		}
	case b.Result == store.Running:
		queued.Kind, queued.Word, queued.At = "busy", "now", b.StartedAt
		running.Word = notYet
	case b.NeverRan():
		queued.Text, running.Word = took(b.StartedAt, b.EndedAt), "never"
	default:
		queued.Word, running.Word = "not known", "not known"
	}
	if b.QueueID != "" {
		queued.Text = strings.TrimSpace(queued.Text + " at the service: its pipeline ran as many as it may.")
	}
	steps := []step{started, queued, running}
	if b.WaitsForPerson {
		steps[2].Kind, steps[2].Word = "good", ""
		steps = append(steps, step{Name: "Waits for a person", Kind: "warn", Word: "now", At: b.WaitedAt, Text: b.Message})
	} else if !b.WaitedAt.IsZero() {
		waited := step{Name: "Waited for a person", Kind: "good", Word: "until", At: b.WaitedAt}
		if b.Result.Final() { // it may have ended while it did
			waited.Word = "last seen"
		}
		steps = append(steps, waited)
	}
	if b.Stop != "" {
		stop := step{Name: "Stop", Kind: "warn", At: b.StoppedAt, Text: b.Stop}
		if b.StoppedAt.IsZero() && b.Result == store.Running {
			stop.Word = "asked for, and not taken by the service yet"
		}
		steps = append(steps, stop)
	}
	if b.Result.Final() {
		ended.Kind, ended.Word, ended.At = kind(b.Result), words(b.Result), b.EndedAt
		if ended.Text = took(b.RunningAt, b.EndedAt); ended.Text != "" {
			ended.Text = "It ran " + ended.Text + "."
		}
	}
	return append(steps, ended)
}

// sentence is a text that begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// took is how long something took; "" if that is not known.
func took(from, to time.Time) string {
	if from.IsZero() || !to.After(from) {
		return ""
	}
	return "for " + lasted(to.Sub(from).Seconds())
}
