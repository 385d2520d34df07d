package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func TestNotesOfTargets(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.Local)
	for phrase, c := range map[string]struct {
		target store.TargetState
		want   string
	}{
		"nothing to say":          {store.TargetState{InRules: true, Asked: now}, ""},
		"a build waits":           {store.TargetState{InRules: true, Persons: 1}, "1 build waits for a person at the service"},
		"throttled, and two wait": {store.TargetState{InRules: true, Asked: now.Add(time.Minute), Persons: 2}, "throttled until 2026-01-31 08:01:00; 2 builds wait for a person at the service"},
		"gone from the rules":     {store.TargetState{}, "not in the rules"},
		"gone, and a build waits": {store.TargetState{Persons: 1}, "not in the rules; 1 build waits for a person at the service"},
	} {
		t.Run(phrase, func(t *testing.T) {
			var out bytes.Buffer
			c.target.Target = "north"
			if err := (&Environment{Stdout: &out}).targets([]store.TargetState{c.target}, now); err != nil {
				t.Fatal(err)
			}
			head, row, _ := strings.Cut(strings.TrimLeft(out.String(), "\n"), "\n")
			if got := strings.TrimSpace(row[min(len(row), strings.Index(head, "NOTE")):]); got != c.want {
				t.Errorf("got %q, want %q, in\n%s", got, c.want, out.String())
			}
		})
	}
}
