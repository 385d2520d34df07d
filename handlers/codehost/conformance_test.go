package codehost

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"buildbridge/mapping"
)

// TestConformance decodes recordings of what real hosts sent, from the folder
// that BUILDBRIDGE_PAYLOADS names: <provider>/<kind>.json. The expected delivery follows
// from the name of the file, and from the fields that fields.json names.
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
	fields, paths := parseBody(t, body), fieldsOf(t, provider)
	m, err := Saved(provider, nil, body)
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
	created := strings.HasSuffix(name, "_create")
	switch {
	case strings.Contains(name, "_delete"):
		if d.Ignored != mapping.ReasonDeleted || len(d.Events) != 0 {
			t.Errorf("ignored %q, events %+v", d.Ignored, d.Events)
		}
		return
	case created && d.Event == "create" && (provider != "gogs" || !isTag): // the push comes too
		if d.Ignored != mapping.ReasonEvent {
			t.Errorf("event %q, ignored %q", d.Event, d.Ignored)
		}
		return
	}
	if len(d.Events) != 1 {
		t.Fatalf("ignored %q, %d events", d.Ignored, len(d.Events))
	}
	kind, commit := mapping.Push, paths.Commit
	if isTag {
		kind, commit = mapping.Tag, paths.TagCommit
	}
	var repository []string
	for _, path := range paths.Repository {
		_, name := splitAddress(fields.value(path))
		repository = append(repository, name)
	}
	want := mapping.Event{Kind: kind, Repository: strings.Join(repository, "/"), Commit: fields.value(commit)}
	name = strings.TrimPrefix(strings.TrimPrefix(fields.value(paths.Ref), branchPrefix), tagPrefix)
	e := d.Events[0]
	if e.Kind != want.Kind || e.Repository != want.Repository || e.Tag+e.Branch != name || e.Commit != want.Commit {
		t.Errorf("got  %s of %s, %q at %q\nwant %s of %s, %q at %q",
			e.Kind, e.Repository, e.Tag+e.Branch, e.Commit, want.Kind, want.Repository, name, want.Commit)
	}
	if (created || isTag) && !e.Created {
		t.Error("not said to be new")
	}
	if e.Pusher == "" {
		t.Error("nobody pushed")
	}
}
