package hostapi_test

import (
	"net/http"
	"testing"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestGitLabAgain sends each status twice, as after a lost answer: GitLab refuses that, and
// shows what it should.
func TestGitLabAgain(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, URL: host.URL})
	s := status(hostapi.Pending)
	ref := post(t, c, s)
	if got := post(t, c, s); got == "" && ref == "" {
		t.Error("no pipeline was given")
	}
	s.Previous = ref
	s.State = hostapi.Running
	if got := post(t, c, s); got != ref {
		t.Errorf("pipeline %q, want %q", got, ref)
	}
	if got := post(t, c, s); got != ref {
		t.Errorf("pipeline %q, want %q", got, ref)
	}
	s.State = hostapi.Pending // it comes late, and is not set back
	if got := post(t, c, s); got != ref {
		t.Errorf("pipeline %q, want %q", got, ref)
	}
	if shown := host.Shown(); len(shown) != 1 || shown[0].State != "running" {
		t.Errorf("shown: %+v", shown)
	}
}

// TestGitLabPipeline: the end of a build goes where its beginning went, though a newer pipeline
// of the commit is there.
func TestGitLabPipeline(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, URL: host.URL})
	s := status(hostapi.Pending)
	s.Previous = post(t, c, s)
	host.AddPipeline(s.Repository, s.Commit, "main")
	s.State = hostapi.Success
	post(t, c, s)
	if shown := host.Shown(); len(shown) != 1 || shown[0].State != "success" {
		t.Errorf("shown: %+v", shown)
	}
	s.Previous, s.State = "4711", hostapi.Failure // a pipeline that was deleted
	if got := post(t, c, s); got == "" || got == "4711" {
		t.Errorf("pipeline %q", got)
	}
}

func TestGitLabNameTaken(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, URL: host.URL})
	s := status(hostapi.Pending)
	host.AddPipeline(s.Repository, s.Commit, "main", "lint", s.Context)
	if r := refusal(t, c, s); r.Fate != final || r.Code != "400" {
		t.Errorf("%+v", r)
	}
	s.Context = "another"
	post(t, c, s)
}

// TestGitLabUnreadable: an answer that breaks off may be of a status that was set.
func TestGitLabUnreadable(t *testing.T) {
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, Transport: transport(func(*http.Request) (*http.Response, error) {
		return answer(201, `{"pipeline_id":`), nil
	})})
	if r := refusal(t, c, status(hostapi.Success)); r.Fate != again || r.Code != "page" {
		t.Errorf("%+v", r)
	}
}
