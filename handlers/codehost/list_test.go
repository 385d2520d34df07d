package codehost

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A body of many short elements must not become as many large structs.
func TestListsTakeLittleMemory(t *testing.T) {
	const size, most = 1 << 20, 32 << 20 // bytes of the body, and of all that decoding it takes
	for _, provider := range providerNames() {
		header, raw := readDelivery(t, filepath.Join("testdata", provider, "push.http"))
		whole := decodeBody(t, provider, header, raw)
		body := parseBody(t, raw)
		body.lists("", func(path string, list *node) {
			kept := *list
			for _, element := range []string{"0", "{}", "null", `"a"`, "[]"} {
				*list = node{text: "[" + strings.TrimSuffix(strings.Repeat(element+",", size/(len(element)+1)), ",") + "]"}
				m, err := Trust(provider, header, []byte(body.String()))
				if err != nil {
					t.Fatal(err)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d, err := m.Decode()
				runtime.ReadMemStats(&after)
				what := fmt.Sprintf("%s, %s of %s", provider, path, element)
				if err != nil && !errors.Is(err, ErrMalformed) {
					t.Errorf("%s: %v", what, err)
				}
				if err == nil && len(d.Events) == 1 && d.Events[0].FilesComplete && !slices.Equal(d.Events[0].Files, whole.Events[0].Files) {
					t.Errorf("%s: what is left out is taken for nothing", what)
				}
				if took := after.TotalAlloc - before.TotalAlloc; took > most {
					t.Errorf("%s: %d MiB for a body of 1 MiB", what, took>>20)
				}
			}
			*list = kept
		})
	}
}

// lists visits the lists of a body. Of the elements of a list it looks into the first.
func (n *node) lists(path string, visit func(path string, list *node)) {
	for i, v := range n.values {
		switch {
		case n.open == '{':
			v.lists(strings.TrimPrefix(path+"."+strings.Trim(n.names[i], `"`), "."), visit)
		case i == 0:
			v.lists(path+"[0]", visit)
		}
	}
	if n.open == '[' {
		visit(path, n)
	}
}

func decodeBody(t *testing.T, provider string, header http.Header, body []byte) Delivery {
	t.Helper()
	m, err := Trust(provider, header, body)
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A body with more changes than are kept is malformed: each may be a build.
func TestTooManyChanges(t *testing.T) {
	change := `{"refId":"refs/heads/main","fromHash":"1111111111111111111111111111111111111111","toHash":"2222222222222222222222222222222222222222","type":"UPDATE"}`
	for n, want := range map[int]string{maxElements: "", maxElements + 1: "changes has 20001 elements"} {
		body := `{"repository":{"slug":"shop","project":{"key":"ACME"}},"changes":[` + strings.TrimSuffix(strings.Repeat(change+",", n), ",") + `]}`
		m, err := Trust("bitbucket-server", pushHeader(t, "bitbucket-server"), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Decode()
		if want == "" && (err != nil || len(d.Events) != n) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d changes: %d events, %v", n, len(d.Events), err)
		}
	}
}

// A field that no build depends on may have any type.
func TestLooseText(t *testing.T) {
	const a, b = `"1111111111111111111111111111111111111111"`, `"2222222222222222222222222222222222222222"`
	for provider, body := range map[string]string{
		"github": `{"ref":"refs/heads/main","before":` + a + `,"after":` + b + `,"repository":{"full_name":"acme/shop","html_url":1,"default_branch":{}},` +
			`"pusher":{"name":7},"head_commit":{"id":` + b + `,"message":["x"],"author":{"name":false}},"commits":[]}`,
		"gitlab":        `{"object_kind":"push","ref":"refs/heads/main","before":` + a + `,"after":` + b + `,"user_name":5,"project":{"path_with_namespace":"acme/shop","web_url":[]}}`,
		"codearts-repo": `{"uuid":5,"object_kind":"push","ref":"refs/heads/main","before":` + a + `,"after":` + b + `,"project":{"path_with_namespace":"acme/shop"}}`,
		"azure-devops": `{"id":7,"eventType":"git.push","resource":{"refUpdates":[{"name":"refs/heads/main","oldObjectId":` + a + `,"newObjectId":` + b + `}],` +
			`"repository":{"name":"shop","project":{"name":"acme"},"remoteUrl":0},"pushedBy":{"uniqueName":null,"displayName":3}}}`,
	} {
		m, err := Trust(provider, pushHeader(t, provider), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Decode()
		if err != nil || len(d.Events) != 1 || d.Events[0].Repository != "acme/shop" || d.Events[0].Commit != strings.Trim(b, `"`) {
			t.Errorf("%s: %+v, %v", provider, d.Events, err)
		}
	}
}

// Nothing is taken out of a form without a signature.
func TestFormsOfStrangersStayAsTheyAre(t *testing.T) {
	body := []byte("payload=" + strings.Repeat("a", 8<<20))
	for _, provider := range providerNames() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Authenticate(provider, keysOf(provider, "s"), http.Header{"Content-Type": {formType}}, body, testNow())
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s: %v", provider, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: %d bytes for a stranger's form", provider, took)
		}
	}
}

// A body of many short fields must not become as many large entries of a map.
func TestManyFieldsTakeLittleMemory(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"password":"s","object_kind":"push"`)
	for i := range 200_000 {
		fmt.Fprintf(&body, `,"%x":0`, i)
	}
	body.WriteString("}")
	m, err := Trust("gitee", pushHeader(t, "gitee"), []byte(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stored, digest := m.stored(), bodyDigest([]byte(body.String()))
	runtime.ReadMemStats(&after)
	if stored != nil || digest == "" {
		t.Errorf("%d bytes are stored with the password, digest %q", len(stored), digest)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("%d MiB for a body of %d MiB", took>>20, body.Len()>>20)
	}
}
