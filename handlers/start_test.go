package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// startRules have a source whose code host can be asked.
var startRules = strings.Replace(rules, "  cloud:", "  asked: {provider: github, secrets: [{env: NEW}], api: {token: {env: TOKEN}}}\n  cloud:", 1)

const head = "3333333333333333333333333333333333333333"

// starting is a bridge whose code host has the branches main and dev and the tag v1 of acme/shop.
func starting(t *testing.T) *bridge {
	t.Helper()
	b := newBridge(t, func(o *handlers.Options) {
		o.Head = func(_ context.Context, source, repository, ref string) (string, error) {
			switch {
			case source != "asked":
				return "", errors.New("a source without an api is asked")
			case repository != "acme/shop":
				return "", errors.New("the code host cannot be reached")
			case ref != "refs/heads/main" && ref != "refs/heads/dev" && ref != "refs/tags/v1":
				return "", fmt.Errorf("%w: there is no %s", mapping.ErrNoHead, ref)
			}
			return head, nil
		}
	})
	b.Swap(stateOf(t, startRules))
	return b
}

func TestStart(t *testing.T) {
	by := mapping.By{Actor: "ann", Why: "the webhook was off"}
	cart := func(parameters ...mapping.Parameter) mapping.Build {
		return mapping.Build{
			Rule: "cart", Target: "north", Action: mapping.ActionJob, JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", Repository: "acme/shop", Ref: "refs/heads/main",
			Parameters: parameters, Pusher: "ann",
		}
	}
	for name, test := range map[string]struct {
		start  handlers.Start
		commit string
		builds []string // the jobs
		rules  string   // what they said, and whether they match
	}{
		"a branch and its commit": {
			handlers.Start{Source: "github", Repository: "acme/shop", Ref: "refs/heads/main", Commit: strings.ToUpper("a" + commit[1:])},
			"a" + commit[1:],
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"},
			"cart true, releases false",
		},
		"a branch whose newest commit the code host says": {
			handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main"},
			head,
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"},
			"cart true, releases false",
		},
		"a repository in another spelling than in the rules": {
			handlers.Start{Source: "asked", Repository: "Acme/Shop", Ref: "refs/heads/main"},
			head,
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"},
			"cart true, releases false",
		},
		"one rule of those that match": {
			handlers.Start{Source: "github", Repository: "acme/shop", Ref: "refs/tags/v1", Rules: []string{"releases"}},
			"",
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3"},
			"releases true",
		},
		"a tag whose commit is not known": {
			handlers.Start{Source: "github", Repository: "acme/shop", Ref: "refs/tags/v1"},
			"",
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3"},
			"cart false, releases true",
		},
		"a tag whose commit the code host says": {
			handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/tags/v1"},
			head,
			[]string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3"},
			"cart false, releases true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := starting(t)
			test.start.By = by
			got := b.Start(t.Context(), test.start)
			var said, jobs []string
			for _, v := range got.Rules {
				said = append(said, fmt.Sprint(v.Rule, " ", v.Matched))
			}
			for _, b := range got.Builds {
				jobs = append(jobs, b.JobID)
			}
			if got.Status != 202 || got.Outcome != "accepted" || got.Commit != test.commit || got.Repository != "acme/shop" {
				t.Fatalf("got %+v", got)
			}
			if diff := cmp.Diff(test.builds, jobs); diff != "" {
				t.Error(diff)
			}
			if text := strings.Join(said, ", "); text != test.rules {
				t.Errorf("the rules said %s, want %s", text, test.rules)
			}
			kept := b.store.accepted[0].delivery
			event := kept.Events[0]
			if kept.ID != got.Delivery || kept.Origin != mapping.OriginManual || kept.By != by || kept.Event != "start" || kept.DuplicateKey == "" ||
				event.Origin != mapping.OriginManual || event.Commit != test.commit || event.Pusher != "ann" || event.FilesComplete || event.FilesUnknown == "" {
				t.Errorf("the store got %+v", kept)
			}
			if line := b.log.last(t); line["origin"] != "manual" || line["actor"] != "ann" || line["why"] != by.Why || line["outcome"] != "accepted" {
				t.Errorf("the log has %v", line)
			}

			// Replayed and explained, it is the same event.
			if d := b.Decide(kept); d.Outcome != "accepted" || len(d.Builds) != len(test.builds) || len(d.Rules) != len(got.Rules) {
				t.Errorf("decided again it is %+v", d)
			}
			if again := b.Replay(t.Context(), kept, mapping.By{Actor: "bob"}); again.Outcome != "accepted" || len(again.Builds) != len(test.builds) {
				t.Errorf("its replay is %+v", again)
			}
			replay := b.store.accepted[1]
			if diff := cmp.Diff(event, replay.delivery.Events[0]); diff != "" {
				t.Error(diff)
			}
			if replay.delivery.Origin != mapping.OriginManual || replay.delivery.By.Actor != "bob" || string(replay.delivery.Body) != string(kept.Body) {
				t.Errorf("the store got %+v", replay.delivery)
			}
		})
	}
	b := starting(t)
	b.Start(t.Context(), handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main", By: by})
	want := cart(mapping.Parameter{Name: "codeBranch", Value: "main"})
	want.Commit = head
	if diff := cmp.Diff(want, b.store.accepted[0].builds[0]); diff != "" {
		t.Error(diff)
	}
}

// A dry run says what would be built and keeps nothing; what builds nothing is not kept either.
func TestStartThatBuildsNothing(t *testing.T) {
	b := starting(t)
	tried := b.Start(t.Context(), handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main", DryRun: true})
	want := []handlers.Planned{
		{Rule: "cart", Target: "north", Action: mapping.ActionJob, JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", Commit: head, Parameters: []mapping.Parameter{{Name: "codeBranch", Value: "main"}}},
		{Rule: "cart", Target: "north", Action: mapping.ActionJob, JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2", Commit: head},
	}
	if diff := cmp.Diff(want, tried.Planned); diff != "" || tried.Status != 200 || tried.Outcome != "dry_run" {
		t.Errorf("got %+v: %s", tried, diff)
	}
	none := b.Start(t.Context(), handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/dev"})
	if none.Status != 200 || none.Outcome != "ignored" || none.Reason != "no_match" || len(none.Rules) != 2 ||
		none.Rules[0].Reason != `push.branches: "dev" matches none of [main]` {
		t.Errorf("got %+v", none)
	}
	if len(b.store.accepted)+len(b.store.ignored) > 0 {
		t.Error("something was kept")
	}
}

func TestStartThatCannotBe(t *testing.T) {
	main := handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main"}
	for name, test := range map[string]struct {
		change func(*handlers.Start)
		status int
		says   string
	}{
		"no such source":           {func(s *handlers.Start) { s.Source = "githib" }, 404, `the rules have no source "githib"; did you mean "github"?`},
		"no source that is like":   {func(s *handlers.Start) { s.Source = "elsewhere" }, 404, "there are github, inside, slow, asked, cloud"},
		"no such branch":           {func(s *handlers.Start) { s.Ref = "refs/heads/mian" }, 404, "there is no refs/heads/mian"},
		"no such tag":              {func(s *handlers.Start) { s.Ref = "refs/tags/v2" }, 404, "there is no refs/tags/v2"},
		"a host that is away":      {func(s *handlers.Start) { s.Repository = "acme/web" }, 502, "cannot be reached"},
		"nobody to ask":            {func(s *handlers.Start) { s.Source = "github" }, 400, `the source "github" has no api`},
		"a short commit":           {func(s *handlers.Start) { s.Commit = "1111111" }, 400, "git rev-parse 1111111 prints it"},
		"a commit that is a shell": {func(s *handlers.Start) { s.Commit = "$(reboot)" }, 400, "git rev-parse COMMIT prints it"},
		"a commit of 64 letters":   {func(s *handlers.Start) { s.Commit = strings.Repeat("g", 64) }, 400, "not a whole id"},
		"a repository by its URL":  {func(s *handlers.Start) { s.Repository = "https://github.com/acme/shop" }, 400, "such as acme/shop"},
		"with .git":                {func(s *handlers.Start) { s.Repository = "acme/shop.git" }, 400, "such as acme/shop"},
		"a repository with spaces": {func(s *handlers.Start) { s.Repository = "acme/ shop" }, 400, "such as acme/shop"},
		"one that is long":         {func(s *handlers.Start) { s.Repository = strings.Repeat("a", 513) }, 400, "such as acme/shop"},
		"one that no rule names":   {func(s *handlers.Start) { s.Repository = "acme2/shop" }, 409, `no rule names the repository "acme2/shop"; did you mean "acme/shop"?`},
		"a branch that Git forbids": {
			func(s *handlers.Start) { s.Ref = "refs/heads/a..b" }, 400, `branch: "a..b" is not a name that Git allows`,
		},
		"a branch without a name":     {func(s *handlers.Start) { s.Ref = "refs/heads/" }, 400, "branch: empty"},
		"a branch by its full name":   {func(s *handlers.Start) { s.Ref = "refs/heads/refs/heads/main" }, 400, "branch: give its short name"},
		"a rule that is not there":    {func(s *handlers.Start) { s.Rules = []string{"crat"} }, 404, `there is no rule "crat"; did you mean "cart"?`},
		"a rule that does not match":  {func(s *handlers.Start) { s.Ref = "refs/heads/dev"; s.Rules = []string{"cart"} }, 409, `the rule "cart" does not match: push.branches: "dev" matches none of [main]`},
		"one of two that do not":      {func(s *handlers.Start) { s.Rules = []string{"cart", "releases"} }, 409, `the rule "releases" does not match: when`},
		"the database does not store": {func(s *handlers.Start) { s.Key = "down" }, 503, "sent again with the same Idempotency-Key, it is not built twice"},
		"nor does it without a key":   {func(s *handlers.Start) { s.By.Why = "down" }, 503, "look at the newest builds before you send it again"},
	} {
		t.Run(name, func(t *testing.T) {
			b := starting(t)
			start := main
			if test.change(&start); start.Key == "down" || start.By.Why == "down" {
				b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
					return mapping.Receipt{}, errors.New("disk full")
				}
			}
			got := b.Start(t.Context(), start)
			if got.Status != test.status || !strings.Contains(got.Detail, test.says) || len(b.store.accepted)+len(b.store.ignored) > 0 {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Detail, test.status, test.says)
			}
		})
	}
}

// However long the code host takes to say the commit, there is as much time to store the start.
func TestStartIsReceivedOnceItsCommitIsKnown(t *testing.T) {
	var told time.Time
	b := newBridge(t, func(o *handlers.Options) {
		o.Head = func(context.Context, string, string, string) (string, error) {
			told = time.Now()
			return head, nil
		}
	})
	b.Swap(stateOf(t, startRules))
	b.Start(t.Context(), handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main"})
	if at := b.store.accepted[0].delivery.ReceivedAt; at.Before(told) {
		t.Errorf("it is received %s before its commit is known", told.Sub(at))
	}
}

// Of two starts with one key, one is kept, if they start the same.
func TestStartTwice(t *testing.T) {
	b := starting(t)
	for name, change := range map[string]func(*handlers.Start){
		"another ref":    func(s *handlers.Start) { s.Ref = "refs/tags/v1" },
		"another commit": func(s *handlers.Start) { s.Commit = commit },
		"other rules":    func(s *handlers.Start) { s.Rules = []string{"cart"} },
		"another key":    func(s *handlers.Start) { s.Key = "l" },
	} {
		start := handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main", Key: name}
		first := b.Start(t.Context(), start)
		change(&start)
		if second := b.Start(t.Context(), start); first.Outcome != "accepted" || second.Outcome != "accepted" {
			t.Errorf("%s: got %+v, %+v", name, first, second)
		}
	}
	start := handlers.Start{Source: "asked", Repository: "acme/shop", Ref: "refs/heads/main", Key: "k"}
	first, second := b.Start(t.Context(), start), b.Start(t.Context(), start)
	start.Key = ""
	if third := b.Start(t.Context(), start); first.Outcome != "accepted" || second.Outcome != "duplicate" || second.Of != first.Delivery || third.Outcome != "accepted" {
		t.Errorf("got %+v, %+v, %+v", first, second, third)
	}
}

// A delivery that was found by a look at the refs has its event as its body.
func TestReplayOfACatchUp(t *testing.T) {
	b := starting(t)
	event := mapping.Event{
		Source: "github", Provider: "github", Kind: mapping.Push, Ref: "refs/heads/main", Branch: "main", Commit: head,
		Files: []string{}, Origin: mapping.OriginCatchUp,
	}
	event.SetRepository("acme/shop")
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	old := mapping.Delivery{ID: "1", Source: "github", Provider: "github", Body: text, Origin: mapping.OriginCatchUp}
	if got := b.Replay(t.Context(), old, mapping.By{}); got.Outcome != "accepted" || len(got.Builds) != 2 {
		t.Fatalf("got %+v", got)
	}
	kept := b.store.accepted[0].delivery
	if kept.Origin != mapping.OriginCatchUp || kept.Events[0].Commit != head || kept.Events[0].Origin != mapping.OriginCatchUp ||
		!strings.Contains(kept.Events[0].FilesUnknown, "no delivery came") {
		t.Errorf("the store got %+v", kept)
	}
	for name, body := range map[string]string{"no JSON": "{", "no event": "{}", "another kind": "[1]"} {
		old.Body = []byte(body)
		if got := b.Replay(t.Context(), old, mapping.By{}); got.Status != http.StatusBadRequest || got.Detail == "" {
			t.Errorf("%s: got %+v", name, got)
		}
		if got := b.Decide(old); got.Outcome != "rejected" || got.Reason != "malformed" || got.Detail == "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// What a replay would do is said without doing it.
func TestDecide(t *testing.T) {
	b := newBridge(t, nil)
	old := b.kept(t)
	cart := func(matched bool, reason string) []mapping.Verdict {
		return []mapping.Verdict{
			{Rule: "cart", Matched: matched, Reason: reason},
			{Rule: "releases", Reason: "when: the event is a push, and the rule has tag only"},
		}
	}
	for name, test := range map[string]struct {
		rules  string
		change func(*mapping.Delivery)
		want   handlers.Decision
	}{
		"the same": {rules, nil, handlers.Decision{Outcome: "accepted", Rules: cart(true, ""), Builds: []handlers.Planned{
			{Rule: "cart", Target: "north", Action: mapping.ActionJob, JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", Commit: commit, Parameters: []mapping.Parameter{{Name: "codeBranch", Value: "main"}}},
			{Rule: "cart", Target: "north", Action: mapping.ActionJob, JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2", Commit: commit},
		}}},
		"no match": {strings.Replace(rules, "[main]", "[dev]", 1), nil, handlers.Decision{
			Outcome: "ignored", Reason: "no_match", Rules: cart(false, `push.branches: "main" matches none of [dev]`), Builds: []handlers.Planned{},
		}},
		"no rule": {strings.ReplaceAll(rules, "acme/", "other/"), nil, handlers.Decision{Outcome: "ignored", Reason: "no_rule", Builds: []handlers.Planned{}}},
		"no body": {rules, func(d *mapping.Delivery) { d.Body = nil }, handlers.Decision{
			Outcome: "rejected", Reason: "no_body", Detail: "the body of this delivery is not kept any more: have the code host send it again",
		}},
		"no source": {strings.Replace(rules, "  github:", "  other:", 1), nil, handlers.Decision{
			Outcome: "rejected", Reason: "no_source", Detail: `the rules have no source "github" any more`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Swap(stateOf(t, test.rules))
			d, logged := old, b.log.text()
			if test.change != nil {
				test.change(&d)
			}
			if diff := cmp.Diff(test.want, b.Decide(d)); diff != "" {
				t.Error(diff)
			}
			if len(b.store.accepted) != 1 || len(b.store.ignored) != 0 || b.log.text() != logged {
				t.Error("something was kept, or logged")
			}
		})
	}
}
