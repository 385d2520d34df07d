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

// A start of which it is not known whether it was taken is sent again, as the same.
func TestStartOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	const notKnown = "whether it was started is not known"
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	breaksOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"outcome":`)
	}
	started := answer(http.StatusAccepted, `{"outcome":"accepted","builds":[{"id":"1","rule":"cart"}]}`)
	for name, test := range map[string]struct {
		answers []http.HandlerFunc // the last one for all that follow
		tries   int
		says    string // the error; "" for none
	}{
		"not stored, once":           {[]http.HandlerFunc{answer(503, `{"error":"not stored"}`), started}, 2, ""},
		"not stored":                 {[]http.HandlerFunc{answer(503, `{"error":"not stored"}`)}, 3, notKnown},
		"a proxy that waits no more": {[]http.HandlerFunc{answer(504, "<html>"), started}, 2, ""},
		"an answer that breaks off":  {[]http.HandlerFunc{breaksOff, started}, 2, ""},
		"answers that break off":     {[]http.HandlerFunc{breaksOff}, 3, notKnown},
		"the code host is away":      {[]http.HandlerFunc{answer(502, `{"error":"it cannot be reached"}`)}, 1, "it cannot be reached"},
		"refused":                    {[]http.HandlerFunc{answer(409, `{"error":"no rule names it"}`)}, 1, "no rule names it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries, keys := 0, map[string]bool{}
			said, err := startAt(t, buildsStart{}, func(w http.ResponseWriter, r *http.Request) {
				answer := test.answers[min(tries, len(test.answers)-1)]
				tries++
				keys[r.Header.Get("Idempotency-Key")] = true
				answer(w, r)
			})
			if tries != test.tries || len(keys) != 1 || keys[""] {
				t.Errorf("%d tries with the keys %v", tries, keys)
			}
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v: %s", err, said)
			}
			if test.says != notKnown && err != nil && strings.Contains(err.Error(), notKnown) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Who waits does not ask for ever what is refused.
func TestWaitThatIsRefused(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404} {
		_, err := startAt(t, buildsStart{Wait: true}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":"not for you"}`)
				return
			}
			_, _ = io.WriteString(w, `{"outcome":"accepted","delivery":"3","builds":[{"id":"1","rule":"cart"}]}`)
		})
		if err == nil || !strings.Contains(err.Error(), "not for you") || !strings.Contains(err.Error(), "not waiting any more") {
			t.Errorf("%d: got %v", status, err)
		}
	}
}
