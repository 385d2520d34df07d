package cli

import (
	"time"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
)

// loadRules is rulesfile.Load, and says so if it takes long.
func (e *Environment) loadRules(paths []string) (*mapping.Ruleset, []mapping.Fault, error) {
	defer e.tellReading("rules")()
	return rulesfile.Load(paths)
}

// tellReading says on standard error what is read, once, if it takes two seconds, until stop is
// called: on a terminal the line goes away then.
func (e *Environment) tellReading(what string) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	counter := newCounter(e)
	go func() {
		defer close(ended)
		select {
		case <-time.After(2 * time.Second):
			counter.show("reading " + what + "…")
			<-ending
		case <-ending:
		}
		counter.clear()
	}()
	return func() {
		close(ending)
		<-ended
	}
}
