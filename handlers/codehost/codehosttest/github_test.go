package codehosttest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
)

func TestGitHub(t *testing.T) {
	const (
		commit = "1111111111111111111111111111111111111111"
		before = "2222222222222222222222222222222222222222"
		object = "3333333333333333333333333333333333333333"
		zero   = "0000000000000000000000000000000000000000"
	)
	event := mapping.Event{
		Provider: "github", Repository: "acme/shop", Owner: "acme", Name: "shop", Commit: commit,
		Message: "Charge once", Author: "ada", Pusher: "ada", URL: "https://github.com/acme/shop", DefaultBranch: "main", Files: []string{},
		Origin: mapping.OriginWebhook,
	}
	for name, test := range map[string]struct {
		change codehosttest.Change
		object string
		want   func(*mapping.Event)
	}{
		"push": {
			codehosttest.Change{Branch: "main", Before: before, Files: []string{"b", "a"}},
			"",
			func(e *mapping.Event) {
				e.Kind, e.Ref, e.Branch, e.Before = mapping.Push, "refs/heads/main", "main", before
				e.Files, e.FilesComplete = []string{"a", "b"}, true
			},
		},
		"new branch": {
			codehosttest.Change{Branch: "next"},
			"",
			func(e *mapping.Event) {
				e.Kind, e.Ref, e.Branch, e.Before, e.Created = mapping.Push, "refs/heads/next", "next", zero, true
				e.FilesUnknown = "a new branch"
			},
		},
		"lightweight tag": {
			codehosttest.Change{Tag: "v1"},
			"",
			func(e *mapping.Event) {
				e.Kind, e.Ref, e.Tag, e.Before, e.Created = mapping.Tag, "refs/tags/v1", "v1", zero, true
				e.FilesUnknown = "a tag comes without files"
			},
		},
		"annotated tag": {
			codehosttest.Change{Tag: "v1"},
			object,
			func(e *mapping.Event) {
				e.Kind, e.Ref, e.Tag, e.Before, e.Created = mapping.Tag, "refs/tags/v1", "v1", zero, true
				e.FilesUnknown = "a tag comes without files"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			change := test.change
			change.Repository, change.Commit, change.Message, change.Pusher = "acme/shop", commit, "Charge once", "ada"
			header, body := codehosttest.GitHub("delivery-1", change, test.object)
			codehost.Sign("github", "s", header, body)
			keys := codehost.Keys{Secrets: []mapping.Secret{"s"}}
			m, err := codehost.Authenticate("github", keys, header, body, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			if err != nil {
				t.Fatal(err)
			}
			want := event
			test.want(&want)
			if want.Kind == mapping.Push {
				want.Commits = []mapping.Commit{{ID: commit, Title: "Charge once", Author: "ada"}}
			}
			if diff := cmp.Diff([]mapping.Event{want}, d.Events); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if d.HostID != "delivery-1" {
				t.Errorf("host id %q", d.HostID)
			}
		})
	}
}
