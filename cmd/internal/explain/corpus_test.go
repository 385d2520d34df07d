package explain_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/cmd/internal/explain"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// builds is a document that builds every push and every tag of every host. Each has a
// source of its own name.
func builds() string {
	sources := ""
	for _, provider := range codehost.Providers() {
		sources += fmt.Sprintf("  %[1]s: {provider: %[1]s, insecure: true}\n", provider.Name)
	}
	return "version: 1\nsources:\n" + sources + `
targets:
  sim: {endpoint: "http://127.0.0.1:1", credentials: {access_key: {env: A}, secret_key: {env: B}}}
rules:
  - name: every
    repository: '**'
    when: {push: {}, tag: {}}
    jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {ref: "${event.ref}"}}]
`
}

const expected = ".expected.json"

// TestConformanceOfTheCorpus decides on what real hosts sent, from the folder that
// BUILDBRIDGE_CORPUS names: <provider>/<name>.json with the headers in <name>.hdr
// and the right answer in <name>.expected.json.
func TestConformanceOfTheCorpus(t *testing.T) {
	root := os.Getenv("BUILDBRIDGE_CORPUS")
	if root == "" {
		t.Skip("BUILDBRIDGE_CORPUS names no folder of recorded deliveries")
	}
	rules, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(builds())})
	if err != nil {
		t.Fatal(err)
	}
	corpus := os.DirFS(root)
	bodies, err := fs.Glob(corpus, "*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int) // deliveries by provider
	for _, file := range bodies {
		if strings.HasSuffix(file, expected) {
			continue
		}
		provider, name := path.Dir(file), strings.TrimSuffix(file, ".json")
		seen[provider]++
		t.Run(name, func(t *testing.T) {
			source, ok := rules.Source(provider)
			if !ok {
				t.Fatalf("%s is no provider", provider)
			}
			want := object(t, read(t, corpus, name+expected))
			explained, err := explain.Delivery(rules, source, header(t, corpus, name+".hdr"), read(t, corpus, file))
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(explained)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, provider, want, object(t, encoded))
		})
	}
	unrecorded := []string{"gitcode", "codeup", "tgit", "gerrit"} // nobody has recorded theirs yet
	for _, provider := range codehost.Providers() {
		if seen[provider.Name] == 0 && !slices.Contains(unrecorded, provider.Name) {
			t.Errorf("no deliveries of %s in %s", provider.Name, root)
		}
	}
	t.Logf("deliveries: %v", seen)
}

// compare holds that an explanation is the answer that is expected, that what the
// answer does not name follows from it, and that this is what would be sent.
func compare(t *testing.T, provider string, want, got map[string]any) {
	if want["ignored"] != got["ignored"] || len(want) != 2 {
		t.Errorf("ignored %q, want %q, and besides that only events: %v", got["ignored"], want["ignored"], want)
	}
	events, wanted := list(t, got["events"]), list(t, want["events"])
	if len(events) != len(wanted) {
		t.Fatalf("%d events, want %d", len(events), len(wanted))
	}
	for i, want := range wanted {
		owner, name := path.Split(fmt.Sprint(want["repository"]))
		want["source"], want["provider"], want["owner"], want["name"] = provider, provider, strings.TrimSuffix(owner, "/"), name
		want["rules"] = []any{map[string]any{"rule": "every", "matched": true, "reason": ""}}
		scm := map[string]any{"build_commit_id": want["commit"]}
		if want["kind"] == "tag" {
			scm = map[string]any{"build_tag": want["tag"]}
		}
		want["run_job"] = []any{map[string]any{"rule": "every", "target": "sim", "body": map[string]any{
			"job_id":    "f9d6c8466d614a9788e9a0acf6c15f46",
			"parameter": []any{map[string]any{"name": "ref", "value": want["ref"]}},
			"scm":       scm,
		}}}
		got := events[i]
		for unknown, known := range map[string]bool{"files_unknown": got["files_complete"] == true, "commit_unknown": got["commit"] != ""} {
			if why, _ := got[unknown].(string); known != (why == "") {
				t.Errorf("event %d: %s is %q", i, unknown, why)
			}
			delete(got, unknown)
		}
		want["other_rules"] = 0.0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("event %d: -want +got\n%s", i, diff)
		}
	}
}

func read(t *testing.T, folder fs.FS, name string) []byte {
	text, err := fs.ReadFile(folder, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func header(t *testing.T, folder fs.FS, name string) http.Header {
	text := string(read(t, folder, name)) + "\r\n\r\n"
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text))).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", name, err)
	}
	return http.Header(header)
}

func object(t *testing.T, text []byte) map[string]any {
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func list(t *testing.T, v any) []map[string]any {
	elements, ok := v.([]any)
	if !ok {
		t.Fatalf("%v is no list", v)
	}
	var objects []map[string]any
	for _, element := range elements {
		object, ok := element.(map[string]any)
		if !ok {
			t.Fatalf("%v is no object", element)
		}
		objects = append(objects, object)
	}
	return objects
}
