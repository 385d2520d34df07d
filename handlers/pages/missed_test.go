package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// lost makes pushes that were missed, of a branch or tag each.
func (b *bridge) lost(repository string, refs ...string) {
	b.t.Helper()
	ctx := b.t.Context()
	if err := b.store.SetRepositories(ctx, "github", []string{repository}, time.Hour, 0); err != nil {
		b.t.Fatal(err)
	}
	for range 2 { // what two looks see counts
		due, err := b.store.DueRepositories(ctx, "github", 10)
		if err != nil || len(due) != 1 {
			b.t.Fatal(due, err)
		}
		look := &store.Look{Repository: due[0]}
		before, err := b.store.MissedOf(ctx, "github", repository)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, m := range before {
			m.MissedAt = time.Now()
			look.Missed = append(look.Missed, m)
		}
		if len(before) == 0 {
			for _, ref := range refs {
				look.Found = append(look.Found, store.NewMissedRef(due[0], ref, commit, time.Now()))
			}
		}
		due[0].LookedAt = time.Now()
		if err := b.store.SaveLook(ctx, look, 0); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestMissed(t *testing.T) {
	b := newBridge(t)
	has(t, b.get("/missed", http.StatusOK), "No missed pushes.", "no source has <code>catch_up</code>")
	looks := newBridge(t, func(s *setup) {
		s.rules = strings.Replace(rules, "insecure: true}", "insecure: true, api: {url: https://git.example.com, token: {env: TOKEN}}, catch_up: {}}", 1)
	})
	hasNot(t, looks.get("/missed", http.StatusOK), "catch_up")
	b.lost("acme/shop", "refs/heads/"+hostileName, "refs/tags/v1", "refs/heads/it's $(here)")
	page := b.get("/missed", http.StatusOK)
	has(t, page, `<code>buildbridge builds start --source=github --repository=acme/shop --tag=v1 --commit=`+commit+`</code>`,
		`--branch=&#39;it&#39;\&#39;&#39;s $(here)&#39; --commit`, `--branch=&#39;&lt;script&gt;`, `<a href="repositories/acme/shop">`, "builds?commit="+commit)
	hasNot(t, page, "<script>alert", "pager")
	has(t, b.get("/missed?source=&repository=acme%2Fnone", http.StatusOK), "No missed pushes that fit.", `value="acme/none"`)
	first := b.get("/missed?limit=2", http.StatusOK)
	has(t, first, `rel="next"`)
	if n := strings.Count(first, "builds start"); n != 2 {
		t.Errorf("a page of two has %d", n)
	}
	for query, says := range map[string]string{"sauce=github": "no such parameter", "after=x": "after:", "limit=0": "limit:"} {
		has(t, b.get("/missed?"+query, http.StatusBadRequest), says, "data-filter", `href="missed">All missed`)
	}
	has(t, b.get(fmt.Sprintf("/missed?after=%d", 1), http.StatusOK), "No missed pushes", "Newest")
}
