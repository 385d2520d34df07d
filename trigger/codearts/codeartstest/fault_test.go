package codeartstest_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault  string
		status int // 0: dropped
		says   string
		header map[string]string
		builds int
	}{
		"a status":              {fault: `{"status":503}`, status: 503},
		"a code":                {fault: `{"status":500,"code":"CB.00060211","message":"slow"}`, status: 500, says: `{"error_code":"CB.00060211","error_msg":"slow"}`},
		"a code in a 200":       {fault: `{"code":"APIG.0308"}`, status: 200, says: `APIG.0308`},
		"a page":                {fault: `{"status":502,"body":"<html>","content_type":"text/html"}`, status: 502, says: "<html>", header: map[string]string{"Content-Type": "text/html"}},
		"a throttle":            {fault: `{"status":429,"retry_after":7}`, status: 429, header: map[string]string{"Retry-After": "7"}},
		"a redirect":            {fault: `{"status":307,"header":{"Location":"/x"}}`, status: 307, header: map[string]string{"Location": "/x"}},
		"a failure after all":   {fault: `{"status":504,"done":true}`, status: 504, builds: 1},
		"dropped before":        {fault: `{"drop":"before"}`},
		"dropped after":         {fault: `{"drop":"after"}`, builds: 1},
		"only slow":             {fault: `{"delay":"1ms"}`, status: 200, says: "actual_build_number", builds: 1},
		"slow, in seconds":      {fault: `{"delay":0.001}`, status: 200, says: "actual_build_number", builds: 1},
		"slow to fail":          {fault: `{"delay":"1ms","status":504}`, status: 504},
		"another call":          {fault: `{"path":"list","status":503}`, status: 200, builds: 1},
		"this call":             {fault: `{"path":"run","status":503}`, status: 503},
		"this job":              {fault: `{"job_id":"` + jobID + `","status":503}`, status: 503},
		"another job":           {fault: `{"job_id":"` + otherJob + `","status":503}`, status: 200, builds: 1},
		"always":                {fault: `{"probability":1,"status":503}`, status: 503},
		"the second of several": {fault: `[{"path":"stop","status":501},{"status":502},{"status":503}]`, status: 502},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := codeartstest.New(codeartstest.Options{})
			added := httptest.NewRecorder()
			s.ServeHTTP(added, httptest.NewRequestWithContext(t.Context(), "POST", "/_faults", strings.NewReader(test.fault)))
			if added.Code != 201 {
				t.Fatalf("%d %s", added.Code, added.Body)
			}
			w, dropped := serve(t, s)
			if dropped != (test.status == 0) || !dropped && w.Code != test.status {
				t.Fatalf("dropped %v, status %d, want %d", dropped, w.Code, test.status)
			}
			if !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("body %s", w.Body)
			}
			for k, v := range test.header {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
			if n := s.RunCount(); n != test.builds {
				t.Errorf("%d builds, want %d", n, test.builds)
			}
		})
	}
}

// serve calls RunJob without a network.
func serve(t *testing.T, s *codeartstest.Simulator) (w *httptest.ResponseRecorder, dropped bool) {
	t.Helper()
	return serveContext(t.Context(), t, s)
}

func serveContext(ctx context.Context, t *testing.T, s *codeartstest.Simulator) (w *httptest.ResponseRecorder, dropped bool) {
	t.Helper()
	w = httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, "POST", "/v3/jobs/build", strings.NewReader(`{"job_id":"`+jobID+`"}`))
	r.Header.Set("Content-Type", "application/json")
	defer func() { dropped = recover() != nil }()
	s.ServeHTTP(w, r)
	return w, false
}

func TestFaultsEnd(t *testing.T) {
	s := codeartstest.New(codeartstest.Options{})
	for _, f := range []codeartstest.Fault{{Status: 500, Times: 2}, {Status: 501, Times: 1}} {
		if err := s.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	list := func() string {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/_faults", nil))
		return w.Body.String()
	}
	for i, want := range []int{500, 500, 501, 200} {
		if w, _ := serve(t, s); w.Code != want {
			t.Errorf("call %d: %d, want %d", i, w.Code, want)
		}
		if i == 0 && list() != `[{"status":500,"times":1},{"status":501,"times":1}]` {
			t.Errorf("faults left: %s", list())
		}
	}
	if got := list(); got != `[]` {
		t.Errorf("faults left: %s", got)
	}
	if err := s.AddFault(codeartstest.Fault{Status: 500}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "DELETE", "/_faults", nil))
	if w.Code != 204 || list() != `[]` {
		t.Errorf("DELETE: %d, left %s", w.Code, list())
	}
}

func TestFaultDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := codeartstest.New(codeartstest.Options{})
		if err := s.AddFault(codeartstest.Fault{Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if w, _ := serve(t, s); w.Code != 200 || time.Since(start) != time.Hour {
			t.Errorf("%d after %v", w.Code, time.Since(start))
		}
		// A caller who does not wait has a build all the same.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, dropped := serveContext(ctx, t, s); !dropped || s.RunCount() != 2 {
			t.Errorf("dropped %v, %d builds", dropped, s.RunCount())
		}
	})
}

func TestFaultProbability(t *testing.T) {
	s := codeartstest.New(codeartstest.Options{})
	if err := s.AddFault(codeartstest.Fault{Status: 500, Probability: 0.5}); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for range 1000 {
		if w, _ := serve(t, s); w.Code == 500 {
			failed++
		}
	}
	if failed < 350 || failed > 650 { // Nine standard deviations.
		t.Errorf("%d of 1000 failed", failed)
	}
}

func TestFaultsRefused(t *testing.T) {
	for name, fault := range map[string]string{
		"nothing": `{}`, "no JSON": `x`, "no body": ``, "unknown member": `{"statsu":500}`, "unknown path": `{"path":"runs","status":500}`,
		"unknown drop": `{"drop":"now"}`, "status": `{"status":99}`, "delay": `{"delay":"soon"}`, "delay of a kind": `{"delay":[]}`,
		"negative delay": `{"delay":"-1s"}`, "probability": `{"status":500,"probability":2}`, "one of several": `[{"status":500},{}]`,
	} {
		t.Run(name, func(t *testing.T) {
			s := codeartstest.New(codeartstest.Options{})
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/_faults", strings.NewReader(fault)))
			if w.Code != 400 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w, _ := serve(t, s); w.Code != 200 {
				t.Errorf("a refused fault was applied: %d", w.Code)
			}
		})
	}
	for _, enough := range []string{`"status":500`, `"code":"C"`, `"message":"M"`, `"body":"B"`, `"retry_after":1`, `"delay":"1s"`, `"drop":"after"`} {
		var f codeartstest.Fault
		if err := json.Unmarshal([]byte("{"+enough+"}"), &f); err != nil {
			t.Errorf("%s is refused: %v", enough, err)
		}
		name, _, _ := strings.Cut(strings.Trim(enough, `"`), `"`)
		if err := json.Unmarshal([]byte("{}"), &f); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a fault without anything: %v, which does not name %s", err, name)
		}
	}
	full := codeartstest.Fault{
		Path: codeartstest.PathRun, JobID: jobID, Status: 500, Code: "C", Message: "M", Body: "B", ContentType: "T", Header: map[string]string{"A": "B"},
		RetryAfter: 1, Delay: time.Second, Drop: codeartstest.DropAfter, Done: true, Times: 3, Probability: 0.5,
	}
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var again codeartstest.Fault
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if c, _ := json.Marshal(again); string(c) != string(b) {
		t.Errorf("%s became %s", b, c)
	}
}
