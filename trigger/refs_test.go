package trigger_test

import (
	"errors"
	"strings"
	"testing"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest/gittest"
	"buildbridge/trigger/store"
)

// hostOf makes a client of a real Git server.
func hostOf(t *testing.T, url, password string) trigger.Host {
	t.Helper()
	client, err := hostapi.New(hostapi.Options{
		Provider: "gogs", URL: url, Token: func() (mapping.Secret, error) { return mapping.Secret(password), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return trigger.Host{Source: "lab", API: client}
}

func TestHead(t *testing.T) {
	const password = "s3cret-0f-git"
	git := gittest.NewServer(t, gittest.Options{Password: password})
	r := git.Repository("acme/shop")
	first := r.Commit("main", "first")
	r.Tag("v1", first, "a version")
	r.Tag("stable", first, "")
	for _, branch := range []string{"feature/cart", "feature/cart-2", "feature/cart-3", "feature/cart-4", "feature/cart-5", "feature/carts", "maim"} {
		r.Commit(branch, "on "+branch)
	}
	main := r.Commit("main", "second")
	git.Repository("acme/empty")
	b := newTestTrigger(t, settings{stopped: true, hosts: []trigger.Host{hostOf(t, git.URL, password)}})

	for name, test := range map[string]struct {
		source, repository, ref string
		want                    string
		says                    string
	}{
		"a branch":          {ref: "refs/heads/main", want: main},
		"an annotated tag":  {ref: "refs/tags/v1", want: first},
		"a branch in parts": {ref: "refs/heads/feature/carts", want: r.Git("rev-parse", "feature/carts")},

		"misspelt":         {ref: "refs/heads/mai", says: `no newest commit: acme/shop has no branch "mai"; similar: maim, main`},
		"many are similar": {ref: "refs/heads/cart", says: `has no branch "cart"; similar: feature/cart, feature/cart-2, feature/cart-3, feature/cart-4, feature/cart-5`},
		"another case":     {ref: "refs/heads/MAIN", says: `has no branch "MAIN"; similar: main`},
		"nothing similar":  {ref: "refs/heads/x\x1b]y", says: `has no branch "x\x1b]y"`},
		"a tag of no name": {ref: "refs/tags/v2", says: `has no tag "v2"; similar: v1`},
		"a tag in place":   {ref: "refs/heads/stable", says: `has no branch "stable", but a tag of that name`},
		"a branch instead": {ref: "refs/tags/main", says: `has no tag "main", but a branch of that name`},
		"empty":            {repository: "acme/empty", ref: "refs/heads/main", says: `acme/empty has no branch "main", and none at all`},
		"no repository":    {repository: "acme/none", ref: "refs/heads/main", says: `no newest commit: source "lab": there is no such repository under ` + git.URL},
		"no api":           {source: "github", ref: "refs/heads/main", says: `no newest commit: source "github" has no api, so its code host cannot be asked: name the commit`},
	} {
		t.Run(name, func(t *testing.T) {
			source, repository := "lab", "acme/shop"
			if test.source != "" {
				source = test.source
			}
			if test.repository != "" {
				repository = test.repository
			}
			commit, err := b.Head(t.Context(), source, repository, test.ref)
			if commit != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q, %v, want %q, %s", commit, err, test.want, test.says)
			}
			if err != nil && !errors.Is(err, mapping.ErrNoHead) {
				t.Errorf("%v is another error", err)
			}
		})
	}

	// What may be otherwise in a minute is told from that.
	b.SetRules(nil, []trigger.Host{hostOf(t, git.URL, "another")}, nil)
	_, err := b.Head(t.Context(), "lab", "acme/shop", "refs/heads/main")
	if err == nil || errors.Is(err, mapping.ErrNoHead) || !strings.Contains(err.Error(), `source "lab": the code host refuses the token (401`) {
		t.Errorf("a wrong token: %v", err)
	}
	b.SetRules(nil, []trigger.Host{hostOf(t, "http://127.0.0.1:1", password)}, nil)
	_, err = b.Head(t.Context(), "lab", "acme/shop", "refs/heads/main")
	if err == nil || errors.Is(err, mapping.ErrNoHead) || !strings.Contains(err.Error(), "the code host cannot be reached at http://127.0.0.1:1") {
		t.Errorf("nobody listens: %v", err)
	}
}

// A source whose host has no statuses is never told one, even if some were stored while its
// provider was another.
func TestHostWithoutStatusesIsNotTold(t *testing.T) {
	t.Parallel()
	h := &fakeHost{none: true}
	b := newReporter(t, h, settings{})
	id := b.deliver(t, reported(commitA))[0]
	b.result(t, id, store.Success)
	until(t, "the reason is seen", func() bool {
		return strings.Contains(b.status(t, id).Reason, `no api for source "github" that takes statuses`)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries != 0 {
		t.Errorf("it was told %d times", h.tries)
	}
}
