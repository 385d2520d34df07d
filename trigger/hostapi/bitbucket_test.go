package hostapi_test

import (
	"strings"
	"testing"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

func TestBitbucket(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.Bitbucket, URL: host.URL})
	s := status(hostapi.Success)
	for context, key := range map[string]string{
		strings.Repeat("c", 40):                  strings.Repeat("c", 40),
		"buildbridge/" + strings.Repeat("c", 29): "buildbridge/" + strings.Repeat("c", 20) + "-01abf63",
	} {
		s.Context = context
		post(t, c, s)
		told := host.Statuses()
		if got := told[len(told)-1].Context; got != key {
			t.Errorf("context %s became the key %s, want %s", context, got, key)
		}
	}
	s.TargetURL = "https://ci.example.com/{job}/7" // Bitbucket would fill it in
	post(t, c, s)
	told := host.Statuses()
	if got := told[len(told)-1].TargetURL; got != "https://ci.example.com/%7Bjob%7D/7" {
		t.Errorf("link %s", got)
	}
}

// TestBitbucketServerOld has a version before 7.4.
func TestBitbucketServerOld(t *testing.T) {
	host := newHost(t, hostapitest.Options{OldBitbucketServer: true})
	c := newClient(t, hostapi.Options{Provider: hostapitest.BitbucketServer, URL: host.URL})
	for state, word := range map[hostapi.State]string{hostapi.Pending: "INPROGRESS", hostapi.Success: "SUCCESSFUL", hostapi.Canceled: "FAILED"} {
		post(t, c, status(state))
		told := host.Statuses()
		if got := told[len(told)-1]; got.State != word || got.Commit != commit || got.Context != "buildbridge/cart" {
			t.Errorf("%s: told %+v", state, got)
		}
	}
}

// TestBitbucketServerBranch: a branch that was deleted meanwhile is left out.
func TestBitbucketServerBranch(t *testing.T) {
	host := newHost(t, hostapitest.Options{Branches: []string{"main"}})
	c := newClient(t, hostapi.Options{Provider: hostapitest.BitbucketServer, URL: host.URL})
	for ref, want := range map[string]string{"refs/heads/main": "refs/heads/main", "refs/heads/gone": ""} {
		s := status(hostapi.Success)
		s.Ref = ref
		post(t, c, s)
		told := host.Statuses()
		if got := told[len(told)-1].Ref; got != want {
			t.Errorf("ref %s became %q", ref, got)
		}
	}
}
