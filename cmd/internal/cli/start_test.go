package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startAt runs "builds start" against a bridge.
func startAt(t *testing.T, c buildsStart, bridge http.HandlerFunc) (said string, err error) {
	t.Helper()
	server := httptest.NewServer(bridge)
	defer server.Close()
	c.Source, c.Repository, c.Branch, c.Admin = "github", "acme/shop", "main", server.URL
	var out strings.Builder
	err = c.Run(t.Context(), &Environment{Stdout: &out, Stderr: &out})
	return out.String(), err
}

// A start that builds nothing has failed, for a script: also if every build is dead on arrival.
func TestStartThatBuildsNothing(t *testing.T) {
	const dead, good = `{"id":"1","rule":"cart","reason":"no such job"}`, `{"id":"2","rule":"shop"}`
	const wouldBeDead, would = `{"rule":"cart","dead":"no such job"}`, `{"rule":"shop"}`
	for answer, fails := range map[string]bool{
		`{"outcome":"ignored","reason":"no_match"}`:                                 true,
		`{"outcome":"accepted","reason":"dead_on_arrival","builds":[` + dead + `]}`: true,
		`{"outcome":"accepted","builds":[` + dead + "," + good + `]}`:               false,
		`{"outcome":"dry_run","planned":[` + wouldBeDead + `]}`:                     true,
		`{"outcome":"dry_run","planned":[` + wouldBeDead + "," + would + `]}`:       false,
		`{"outcome":"duplicate","of":"3"}`:                                          false,
	} {
		said, err := startAt(t, buildsStart{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		if (err != nil) != fails {
			t.Errorf("%s: got %v: %s", answer, err, said)
		}
	}
	said, err := startAt(t, buildsStart{Wait: true}, func(w http.ResponseWriter, r *http.Request) {
		answer := `{"outcome":"duplicate","of":"3"}`
		if r.Method == http.MethodGet {
			answer = `{"builds":[]}`
		}
		_, _ = fmt.Fprint(w, answer)
	})
	if err == nil || !strings.Contains(said, "the delivery 3 has no builds any more") {
		t.Errorf("waiting for nothing gives %v: %s", err, said)
	}
}
