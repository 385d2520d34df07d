package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// nothing is an Acceptor that keeps nothing.
type nothing struct{}

func (nothing) Accept(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
	return mapping.Receipt{Builds: []mapping.BuildReceipt{{ID: "1", Rule: "cart", JobID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"}}}, nil
}

func (nothing) Ignore(mapping.Delivery, mapping.Reason, []mapping.Verdict) {}

// client is the smallest http.ResponseWriter with deadlines.
type client struct {
	header http.Header
	status int
}

func (c *client) Header() http.Header              { return c.header }
func (c *client) Write(b []byte) (int, error)      { return len(b), nil }
func (c *client) WriteHeader(status int)           { c.status = status }
func (c *client) SetReadDeadline(time.Time) error  { return nil }
func (c *client) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkDelivery measures a push of 8.5 KB from its header to the answer and the line of
// the log, without network and database, by the number of rules for other repositories.
// The time of all processors (user) includes the garbage collection.
func BenchmarkDelivery(b *testing.B) {
	for _, others := range []int{100, 1000} {
		b.Run(fmt.Sprintf("rules=%d", others), func(b *testing.B) {
			server, err := handlers.New(handlers.Options{Acceptor: nothing{}, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))}) //nolint:sloglint // its cost counts
			if err != nil {
				b.Fatal(err)
			}
			var more strings.Builder
			for i := range others {
				fmt.Fprintf(&more, "  - {name: other-%d, repository: acme/other-%d, when: {push: {}}, jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1}]}\n", i, i)
			}
			server.Swap(stateOf(b, strings.Replace(rules, "max_body: 4096", "max_body: 16KiB", 1)+more.String()))
			text := fullPush(b)
			template := request("github", text)
			body := strings.NewReader(text)
			used := userTime(b)
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(text)
				r := &http.Request{
					Method: http.MethodPost, URL: &url.URL{Path: "/webhooks/github"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
					RemoteAddr: "192.0.2.1:1234", Header: template.Header, Body: io.NopCloser(body), ContentLength: int64(len(text)),
				}
				w := &client{header: http.Header{}}
				server.Public().ServeHTTP(w, r)
				if w.status != http.StatusAccepted {
					b.Fatalf("status %d", w.status)
				}
			}
			b.ReportMetric(float64((userTime(b)-used).Nanoseconds())/float64(b.N), "user-ns/op")
		})
	}
}

// userTime is how long this process has used processors.
func userTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano())
}

// fullPush is a push with all that GitHub sends.
func fullPush(b *testing.B) string {
	b.Helper()
	object := func(urls int, more map[string]any) map[string]any {
		for i := range urls {
			more[fmt.Sprintf("the_%d_url", i)] = fmt.Sprintf("https://api.github.com/repos/acme/shop/the/%d/of/all{/sha}", i)
		}
		return more
	}
	one := func(id string) map[string]any {
		person := map[string]any{"name": "Ann Smith", "email": "ann@example.com", "username": "ann"}
		return object(1, map[string]any{
			"id": id, "tree_id": before, "distinct": true, "message": "a message", "timestamp": "2026-03-01T10:20:30+01:00",
			"author": person, "committer": person, "added": []string{"services/cart/total.go"}, "removed": []string{},
			"modified": []string{"services/cart/cart.go", "go.mod"},
		})
	}
	text, err := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": before, "after": commit, "created": false, "deleted": false, "forced": false, "base_ref": nil,
		"repository": object(68, map[string]any{
			"id": 35129377, "full_name": "acme/shop", "default_branch": "main", "html_url": "https://github.com/acme/shop",
			"private": true, "pushed_at": 1772356830, "topics": []string{"shop"}, "owner": object(10, map[string]any{"login": "acme", "id": 1}),
		}),
		"pusher": map[string]any{"name": "ann"}, "sender": object(10, map[string]any{"login": "ann", "id": 2}),
		"commits": []any{one(before), one(commit)}, "head_commit": one(commit),
	})
	if err != nil {
		b.Fatal(err)
	}
	if len(text) < 8200 || len(text) > 8800 {
		b.Fatalf("a push of %d bytes", len(text))
	}
	return string(text)
}
