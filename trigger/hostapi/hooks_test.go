package hostapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

var hookProviders = append(slices.Clone(providers), hostapitest.Gogs)

// Webhooks of all pages are read, each once.
func TestWebhookPages(t *testing.T) {
	const hooks = 230
	for _, provider := range hookProviders {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{Forgejo: provider == hostapitest.Forgejo})
			for i := range hooks {
				if err := host.AddHook(hostapitest.Hook{Provider: provider, Repository: "acme/shop", URL: fmt.Sprintf("https://ci.example.com/%d", i)}); err != nil {
					t.Fatal(err)
				}
			}
			got, err := newClient(t, hostapi.Options{Provider: provider, URL: host.URL}).Webhooks().Of(t.Context(), "acme/shop")
			if err != nil || got.Name != "acme/shop" || got.Blind != nil || got.Unseen != "" || len(got.Hooks) != hooks {
				t.Fatalf("%d webhooks of %s, %v, %v %q", len(got.Hooks), got.Name, err, got.Blind, got.Unseen)
			}
			for i, h := range got.Hooks {
				if h.URL != fmt.Sprintf("https://ci.example.com/%d", i) || !h.Push || !h.Tag || h.Off != "" || h.Of != "" {
					t.Fatalf("webhook %d: %+v", i, h)
				}
			}
		})
	}
}

// The deliveries have the ids that the bridge keeps, where the host shows them.
func TestWebhookDeliveries(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	for provider, want := range map[string]hostapi.HookDelivery{
		hostapitest.GitHub:          {ID: "72d3162e", At: at, Status: 202, Taken: true},
		hostapitest.GitLab:          {ID: "72d3162e", At: at, Status: 202, Taken: true},
		hostapitest.BitbucketServer: {At: at, Status: 202, Taken: true},
		hostapitest.AzureDevOps:     {ID: "72d3162e", At: at, Taken: true},
	} {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{})
			hook := hostapitest.Hook{
				Provider: provider, Repository: "acme/shop", URL: "https://ci.example.com/",
				Sent: []hostapitest.Sent{{ID: "72d3162e", At: at, Status: 202}},
			}
			if err := host.AddHook(hook); err != nil {
				t.Fatal(err)
			}
			hooks := newClient(t, hostapi.Options{Provider: provider, URL: host.URL}).Webhooks()
			of, err := hooks.Of(t.Context(), "acme/shop")
			if err != nil || len(of.Hooks) != 1 {
				t.Fatalf("%+v, %v", of, err)
			}
			got, known, err := hooks.Deliveries(t.Context(), of.Hooks[0])
			for i := range got {
				got[i].At = got[i].At.UTC()
			}
			if diff := cmp.Diff([]hostapi.HookDelivery{want}, got); diff != "" || !known || err != nil {
				t.Errorf("known: %v, %v, -want +got:\n%s", known, err, diff)
			}
		})
	}
}

// Whatever a host answers is an error, or nothing that is known.
func TestWebhooksOfAnotherShape(t *testing.T) {
	for _, provider := range hookProviders {
		for _, body := range []string{"", "{}", "[]", "null", "7", "[7]", `{"values":7}`, `[{"id":{},"config":7}]`, `{"value":[{"consumerInputs":[]}]}`, `[{"id"`} {
			t.Run(provider+body, func(t *testing.T) {
				asked := 0
				hooks := newClient(t, hostapi.Options{Provider: provider, URL: "https://git.example.com", Transport: transport(func(r *http.Request) (*http.Response, error) {
					if asked++; r.Method != http.MethodGet {
						t.Errorf("%s %s", r.Method, r.URL)
					}
					if asked == 2 { // the repository can be seen
						return answer(200, "{}"), nil
					}
					return answer(200, body), nil
				})}).Webhooks()
				_, _, tokenErr := hooks.Token(t.Context())
				asked = 1
				of, err := hooks.Of(t.Context(), "acme/shop")
				for _, err := range []error{tokenErr, err} {
					if _, ok := errors.AsType[*hostapi.Refusal](err); err != nil && !ok {
						t.Errorf("%T %v", err, err)
					}
				}
				for _, h := range of.Hooks {
					if h.URL != "" {
						t.Errorf("%+v", h)
					}
				}
				if asked > 30 {
					t.Errorf("%d requests", asked)
				}
			})
		}
	}
}

// A repository that has another name now is told, and not followed with the token.
func TestWebhooksOfRenamedRepository(t *testing.T) {
	asked := 0
	hooks := newClient(t, hostapi.Options{Provider: "github", Transport: transport(func(*http.Request) (*http.Response, error) {
		asked++
		return answer(301, `{"message":"Moved Permanently"}`, "Location", "https://api.github.com/repositories/7"), nil
	})}).Webhooks()
	_, err := hooks.Of(t.Context(), "acme/shop")
	if r, ok := errors.AsType[*hostapi.Refusal](err); !ok || r.Fate != final || !strings.Contains(r.Reason, "the repository has another name now") || asked != 1 {
		t.Errorf("%d requests, %v", asked, err)
	}
}

// The webhooks of every group above a project of GitLab send for it.
func TestWebhooksOfNestedGroups(t *testing.T) {
	for name, test := range map[string]struct {
		refuses string // the group
		unseen  string
		of      string // whose the webhooks are
	}{
		"all are seen":      {"", "", "the group acme/web/ui,the group acme/web,the group acme"},
		"one is not":        {"acme/web", "the group acme/web", "the group acme/web/ui,the group acme"},
		"none of them":      {"acme", "the group acme/web/ui or the group acme/web or the group acme", ""},
		"a webhook of none": {"acme/web/ui", "the group acme/web/ui", "the group acme/web,the group acme"},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := newClient(t, hostapi.Options{Provider: "gitlab", Transport: transport(func(r *http.Request) (*http.Response, error) {
				path := r.URL.Path // without escapes
				group, isGroup := strings.CutPrefix(strings.TrimSuffix(path, "/hooks"), "/api/v4/groups/")
				switch {
				case isGroup && (group == test.refuses || test.refuses == "acme"):
					return answer(403, `{"message":"403 Forbidden"}`), nil
				case isGroup:
					return answer(200, `[{"id":1,"url":"https://ci.example.com/webhooks/lab","push_events":true}]`), nil
				case strings.HasSuffix(path, "/hooks"):
					return answer(200, `[]`), nil
				}
				return answer(200, `{"path_with_namespace":"acme/web/ui/shop","namespace":{"kind":"group","full_path":"acme/web/ui"}}`), nil
			})}).Webhooks()
			got, err := hooks.Of(t.Context(), "acme/web/ui/shop")
			var of []string
			for _, h := range got.Hooks {
				of = append(of, h.Of)
			}
			if err != nil || strings.Join(of, ",") != test.of || got.Unseen != test.unseen {
				t.Errorf("got %q, not seen %q, %v", of, got.Unseen, err)
			}
		})
	}
}

// An older Azure DevOps Server names the version of the API that it has.
func TestWebhooksOfOlderAzureDevOps(t *testing.T) {
	hooks := newClient(t, hostapi.Options{Provider: "azure-devops", URL: "https://tfs.example.com/tfs/c", Transport: transport(func(r *http.Request) (*http.Response, error) {
		switch {
		case r.URL.Query().Get("api-version") != "6.0":
			return answer(400, `{"message":"The requested version is out of range: The latest REST API version this server supports is 6.0."}`), nil
		case strings.HasSuffix(r.URL.Path, "/_apis/hooks/subscriptions"):
			return answer(200, `{"value":[{"id":"1","consumerInputs":{"url":"https://ci.example.com/a"},"publisherInputs":{"projectId":"P"}},
				{"id":"2","consumerInputs":{"url":"https://ci.example.com/b"},"publisherInputs":{"projectId":"Q"}},
				{"id":"3","consumerInputs":{"url":"https://ci.example.com/c"},"publisherInputs":{"projectId":"P","repository":"R"}}]}`), nil
		}
		return answer(200, `{"id":"r2","name":"shop","project":{"id":"p","name":"acme"}}`), nil
	})}).Webhooks()
	of, err := hooks.Of(t.Context(), "acme/shop")
	if err != nil || len(of.Hooks) != 1 || of.Hooks[0].URL != "https://ci.example.com/a" {
		t.Errorf("%+v, %v", of, err)
	}
}
