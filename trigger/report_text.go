package trigger

import (
	"fmt"
	"strings"
	"time"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

// wordFor is what a status says of a build, for people who see the commit: "" for nothing. open
// is whether the host was told that the build is pending or runs, so that it must be told an
// end. Nothing is said to have succeeded but what has.
func wordFor(b *store.Build, open bool) (state hostapi.State, text string) {
	switch b.State {
	case store.Waiting:
		if !b.PausedAt.IsZero() {
			return hostapi.Pending, withMessage("The build waits", b.Reason)
		}
		return hostapi.Pending, "The build waits to be started"
	case store.Calling, store.Unknown:
		return hostapi.Pending, "The build is being started"
	case store.Started:
		return wordForResult(b, open)
	case store.Dead:
		if b.Canceled() {
			return hostapi.Canceled, oneLine("Not started: " + b.Reason)
		}
		return hostapi.Error, oneLine("Not started: " + b.Reason)
	case store.Superseded:
		if open {
			return hostapi.Canceled, "A newer push took the place of this build"
		}
	case store.DryRun:
		if open {
			return hostapi.Error, "Not started: it was a dry run"
		}
	}
	if open {
		return hostapi.Pending, "" // a state of a newer version, which will go on
	}
	return "", ""
}

// wordForResult is what a status says of a build that was started.
func wordForResult(b *store.Build, open bool) (state hostapi.State, text string) {
	name := b.Action.Numbered(b.BuildNumber)
	name = strings.ToUpper(name[:1]) + name[1:]
	switch b.Result {
	case store.NoResult:
		if open {
			return hostapi.Error, name + " was started, and is not followed to its end"
		}
		return "", ""
	case store.Running:
		switch {
		case b.WaitsForPerson():
			return hostapi.Running, oneLine(name + " " + b.Message)
		case b.QueueID != "" && b.RunningAt.IsZero():
			return hostapi.Pending, name + " waits in the queue of its pipeline"
		case b.RunningAt.IsZero():
			return hostapi.Pending, name + " was started"
		}
		return hostapi.Running, name + " runs"
	case store.Success:
		return hostapi.Success, name + " succeeded" + took(" in ", b)
	case store.Failure:
		text = name + " failed"
		if b.Step != "" {
			text += fmt.Sprintf(" in step %q", b.Step)
		}
		return hostapi.Failure, withMessage(text+took(" after ", b), b.Message)
	case store.Timeout:
		return hostapi.Failure, withMessage(name+" took too long: the service stopped it"+took(" after ", b), b.Message)
	case store.Aborted:
		if b.Stop != "" && b.SupersededBy != "" {
			return hostapi.Canceled, name + " was stopped: a newer push took its place"
		}
		if b.Stop != "" {
			return hostapi.Canceled, withMessage(name+" was stopped", b.Stop)
		}
		if b.NeverRan() {
			return hostapi.Canceled, oneLine(name + ": " + b.Message)
		}
		return hostapi.Canceled, name + " was stopped at the service"
	case store.Lost:
		return hostapi.Error, withMessage("What became of "+b.Action.Numbered(b.BuildNumber)+" is not known", b.Message)
	}
	return hostapi.Error, fmt.Sprintf("%s ended with the result %q", name, b.Result) // of a newer version
}

func withMessage(text, message string) string {
	if message == "" {
		return text
	}
	return oneLine(text + ": " + message)
}

// took is how long a build ran, or took from its start if it is not known when it ran; "" if
// that is not known either.
func took(before string, b *store.Build) string {
	began := b.RunningAt
	if began.IsZero() {
		began = b.StartedAt
	}
	if began.IsZero() || b.EndedAt.Before(began) {
		return ""
	}
	d := b.EndedAt.Sub(began).Round(time.Second)
	hours, minutes, seconds := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
	switch {
	case hours > 0:
		return fmt.Sprintf("%s%d h %d min", before, hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%s%d min %d s", before, minutes, seconds)
	}
	return fmt.Sprintf("%s%d s", before, seconds)
}

// oneLine makes one line of a text of several.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
