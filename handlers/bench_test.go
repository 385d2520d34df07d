package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// nothing is a Store that keeps nothing.
type nothing struct{}

func (nothing) Accept(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
	return mapping.Receipt{Builds: []mapping.BuildReceipt{{ID: "1"}}}, nil
}

func (nothing) Ignore(mapping.Delivery, mapping.Reason, []mapping.Verdict) {}

// BenchmarkDelivery is the delivery path from the header to the answer, without
// network and database, by the number of rules for other repositories.
func BenchmarkDelivery(b *testing.B) {
	for _, others := range []int{10, 1000} {
		b.Run(fmt.Sprintf("rules=%d", others), func(b *testing.B) {
			server, err := handlers.New(handlers.Options{Store: nothing{}})
			if err != nil {
				b.Fatal(err)
			}
			var more strings.Builder
			for i := range others {
				fmt.Fprintf(&more, "  - {name: other-%d, repository: acme/other-%d, when: {push: {}}, jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1}]}\n", i, i)
			}
			server.Swap(stateOf(b, rules+more.String()))
			text := push("acme/shop", "refs/heads/main", commit)
			template := request("github", text)
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/webhooks/github", strings.NewReader(text))
				r.Header = template.Header
				w := httptest.NewRecorder()
				server.Public().ServeHTTP(w, r)
				if w.Code != http.StatusAccepted {
					b.Fatalf("status %d: %s", w.Code, w.Body)
				}
			}
		})
	}
}
