package hostapi_test

import (
	"strings"
	"testing"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestGitHubMaximum has the 1001st status of a commit and context.
func TestGitHubMaximum(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL})
	s := status(hostapi.Success)
	for range 1000 {
		post(t, c, s)
	}
	r := refusal(t, c, s)
	if r.Fate != final || r.Code != "422" || !strings.Contains(r.Error(), "takes no more statuses with this context") {
		t.Errorf("%+v", r)
	}
	s.Context = "BUILDBRIDGE/cart" // the same to GitHub
	_ = refusal(t, c, s)
	s.Context = "another"
	post(t, c, s)
}
