package codehost

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"buildbridge/mapping"
)

// TestConformance decodes recordings of what real hosts sent, from the folder
// that BUILDBRIDGE_PAYLOADS names: <provider>/<what it is>.json. What must come
// of one follows from its name, and from its fields, read here in the plainest
// way.
func TestConformance(t *testing.T) {
	root := os.Getenv("BUILDBRIDGE_PAYLOADS")
	if root == "" {
		t.Skip("BUILDBRIDGE_PAYLOADS names no folder of recorded payloads")
	}
	files := os.DirFS(root)
	folders, err := fs.ReadDir(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		provider := folder.Name()
		if !slices.Contains(providerNames(), provider) {
			t.Errorf("%s is no provider", provider)
			continue
		}
		paths, err := fs.Glob(files, provider+"/*.json")
		if err != nil || len(paths) == 0 {
			t.Errorf("%s holds no recordings: %v", provider, err)
		}
		for _, file := range paths {
			total++
			t.Run(file, func(t *testing.T) { checkRecording(t, files, file) })
		}
	}
	if total == 0 {
		t.Errorf("no recordings in %s", root)
	}
	t.Logf("%d recordings", total)
}

func checkRecording(t *testing.T, files fs.FS, file string) {
	provider := path.Dir(file)
	body, err := fs.ReadFile(files, file)
	if err != nil {
		t.Fatal(err)
	}
	var fields any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	header := WithEvent(provider, nil, body)
	m, err := Authenticate(provider, Keys{Insecure: true}, header, body, testNow())
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Decode()
	if err != nil {
		t.Fatal(err)
	}
	checkDelivery(t, provider, d)

	name := strings.TrimSuffix(path.Base(file), ".json")
	isTag := strings.Contains(name, "tag")
	// These have events of their own for what is new or gone; elsewhere, and
	// where the name says push, it is a push.
	ownEvents := (provider == "github" || provider == "gitea" || provider == "gogs") &&
		!strings.HasPrefix(name, "push")
	created := strings.HasSuffix(name, "_create")
	switch {
	case strings.Contains(name, "_delete"):
		if d.Ignored != mapping.ReasonDeleted || len(d.Events) != 0 {
			t.Errorf("ignored %q, events %+v", d.Ignored, d.Events)
		}
		return
	case ownEvents && created && (provider != "gogs" || !isTag):
		if d.Ignored != mapping.ReasonEvent || d.Event != "create" {
			t.Errorf("event %q, ignored %q", d.Event, d.Ignored)
		}
		return
	}
	if len(d.Events) != 1 {
		t.Fatalf("ignored %q, %d events", d.Ignored, len(d.Events))
	}
	want := recorded(t, provider, fields)
	e := d.Events[0]
	kind := mapping.Push
	if isTag {
		kind = mapping.Tag
	}
	if e.Kind != kind || e.Repository != want.repository || e.Tag+e.Branch != want.short || e.Commit != want.commit {
		t.Errorf("got  %s of %s, %q at %q\nwant %s of %s, %q at %q",
			e.Kind, e.Repository, e.Tag+e.Branch, e.Commit, kind, want.repository, want.short, want.commit)
	}
	if (created || isTag) && !e.Created {
		t.Error("not said to be new")
	}
	if e.Pusher == "" {
		t.Error("nobody pushed")
	}
}

// recording is what a body says where the host's documentation puts it.
type recording struct{ repository, short, commit string }

func recorded(t *testing.T, provider string, fields any) recording {
	at := func(path ...any) string {
		v := fields
		for _, step := range path {
			switch step := step.(type) {
			case string:
				object, _ := v.(map[string]any)
				v = object[step]
			case int:
				list, _ := v.([]any)
				if step >= len(list) {
					return ""
				}
				v = list[step]
			}
		}
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	ref := at("ref")
	isTag := strings.HasPrefix(ref, "refs/tags/")
	short := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	switch provider {
	case "github", "gitea", "forgejo", "gitee":
		if isTag {
			return recording{at("repository", "full_name"), short, at("head_commit", "id")}
		}
		return recording{at("repository", "full_name"), short, at("after")}
	case "gogs": // a create has no after, and the commit is not to be had
		return recording{at("repository", "full_name"), short, at("after")}
	case "gitlab", "codearts-repo":
		return recording{at("project", "path_with_namespace"), short, at("checkout_sha")}
	case "bitbucket":
		return recording{
			at("repository", "full_name"),
			at("push", "changes", 0, "new", "name"), at("push", "changes", 0, "new", "target", "hash"),
		}
	case "bitbucket-server":
		commit := at("changes", 0, "toHash")
		if at("changes", 0, "ref", "type") == "TAG" {
			commit = at("toCommit", "id")
		}
		return recording{at("repository", "project", "key") + "/" + at("repository", "slug"), at("changes", 0, "ref", "displayId"), commit}
	case "azure-devops":
		name, commit := at("resource", "refUpdates", 0, "name"), at("resource", "refUpdates", 0, "newObjectId")
		if strings.HasPrefix(name, "refs/tags/") {
			commit = ""
		}
		return recording{
			at("resource", "repository", "project", "name") + "/" + at("resource", "repository", "name"),
			strings.TrimPrefix(strings.TrimPrefix(name, "refs/heads/"), "refs/tags/"), commit,
		}
	}
	t.Fatalf("nothing known of %s", provider)
	return recording{}
}
