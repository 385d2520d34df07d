package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Of a rejected delivery it is shown what it was answered, and who sent it. No rejected delivery may be
// because of a restart.
func TestRejectedDeliveries(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"deliveries":[]}`
		if strings.HasSuffix(r.URL.Path, "/deliveries/1") {
			answer = `{"id":"1","outcome":"rejected","reason":"signature","status":401,"detail":"no secret fits","client":"192.0.2.7",` +
				`"user_agent":"GitHub-Hookshot/1","builds":[],"body":null}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	var out, remarks strings.Builder
	env := &Environment{Stdout: &out, Stderr: &remarks}
	show := deliveriesShow{ID: "1"}
	show.Admin = server.URL
	if err := show.Run(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"answered 401", "why not no secret fits", "client 192.0.2.7", "user agent GitHub-Hookshot/1"} {
		if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
	for _, outcome := range []string{"rejected", "ignored"} {
		remarks.Reset()
		list := deliveriesList{}
		list.Admin, list.Limit, list.Outcome = server.URL, 5, &outcome
		if err := list.Run(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(remarks.String(), "in memory only"); said != (outcome == "rejected") {
			t.Errorf("%s: %s", outcome, remarks.String())
		}
	}
}
