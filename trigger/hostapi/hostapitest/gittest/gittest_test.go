package gittest_test

import (
	"os/exec"
	"strings"
	"testing"

	"buildbridge/trigger/hostapi/hostapitest/gittest"
)

// A real git sees what a server serves.
func TestServer(t *testing.T) {
	for name, o := range map[string]gittest.Options{"version 2": {}, "version 0": {OnlyV0: true}, "a password": {Password: "s3cret"}} {
		t.Run(name, func(t *testing.T) {
			s := gittest.NewServer(t, o)
			r := s.Repository("acme/shop")
			first := r.Commit("main", "first")
			second := r.Commit("main", "second")
			r.Commit("old", "third")
			r.Delete("refs/heads/old")
			r.Tag("v1", first, "")
			r.Tag("v2", second, "the second")
			r.Many(2, "refs/heads/topic/%d", first)
			s.Move("acme/store", "acme/shop")

			url := strings.Replace(s.URL, "://", "://ann:"+o.Password+"@", 1)
			out, err := exec.CommandContext(t.Context(), "git", "ls-remote", url+"/acme/store.git").Output()
			want := []string{
				second + "\tHEAD", second + "\trefs/heads/main", first + "\trefs/heads/topic/0", first + "\trefs/heads/topic/1",
				first + "\trefs/tags/v1", r.Git("rev-parse", "v2") + "\trefs/tags/v2", second + "\trefs/tags/v2^{}", "",
			}
			if err != nil || string(out) != strings.Join(want, "\n") {
				t.Errorf("%v, %s", err, out)
			}
			if s.Requests() == 0 {
				t.Error("no requests were counted")
			}
		})
	}
	s := gittest.NewServer(t, gittest.Options{Password: "s3cret"})
	if out, err := exec.CommandContext(t.Context(), "git", "-c", "core.askPass=true", "ls-remote", s.URL+"/acme/shop.git").CombinedOutput(); err == nil {
		t.Errorf("no password is wanted: %s", out)
	}
}
