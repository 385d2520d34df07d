package hostapi_test

import (
	"testing"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestGiteaTagObject: Gitea stores a status on the id of a tag, and nobody sees it; so the
// commit has to be given.
func TestGiteaTagObject(t *testing.T) {
	host := newHost(t, hostapitest.Options{TagObjects: []string{other}})
	c := newClient(t, hostapi.Options{Provider: hostapitest.Gitea, URL: host.URL})
	s := status(hostapi.Success)
	s.Commit = other
	post(t, c, s)
	if told, shown := host.Statuses(), host.Shown(); len(told) != 1 || len(shown) != 0 {
		t.Errorf("told %+v, shown %+v", told, shown)
	}
}
