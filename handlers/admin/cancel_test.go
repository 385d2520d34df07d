package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

func TestCancel(t *testing.T) {
	a := writable(t)
	_, waiting := a.accept()
	_, started := a.accept(ref("refs/heads/started"), state(store.Started))
	var got admin.Build
	a.ask("POST", "/builds/"+waiting.ID+"/cancel", http.StatusOK, &got)
	if got.State != store.Dead || got.Reason != "canceled by write" {
		t.Errorf("got %+v", got)
	}
	for id, says := range map[string]string{waiting.ID: "it was canceled by write", started.ID: "it does not wait any more"} {
		if got := a.refused("POST", "/builds/"+id+"/cancel", http.StatusConflict); !strings.Contains(got, says) || strings.Contains(got, id) {
			t.Errorf("it says %s, want %q", got, says)
		}
	}
	a.refused("POST", "/builds/0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e/cancel", http.StatusNotFound)
	if w := a.serve(request(http.MethodPost, admin.Prefix+"/builds/"+waiting.ID+"/cancel", "")); w.Code != http.StatusUnauthorized {
		t.Errorf("without a token: got %d", w.Code)
	}
}

func TestCancelOfAllThatMatch(t *testing.T) {
	a := writable(t)
	var ids []string
	for range 40 {
		_, b := a.accept()
		ids = append(ids, b.ID)
	}
	a.accept(ref("refs/heads/other"))
	a.accept(ref("refs/heads/dead"), state(store.Dead))
	var found admin.CancelCount
	a.ask("GET", "/builds/cancel?ref=main", http.StatusOK, &found)
	if found.Builds != 40 || len(found.First) != 10 || found.First[0].ID != ids[0] {
		t.Errorf("found %d: %+v", found.Builds, found.First)
	}
	var got admin.BuildCancels
	a.ask("POST", "/builds/cancel?ref=main&limit=30", http.StatusOK, &got)
	if len(got.Canceled) != 30 || got.Canceled[0] != ids[0] || got.Left != 10 || got.Next == "" {
		t.Errorf("got %+v", got)
	}
	a.ask("POST", "/builds/cancel?ref=main&after="+got.Next, http.StatusOK, &got)
	if len(got.Canceled) != 10 || got.Left != 0 || len(got.Skipped) != 0 {
		t.Errorf("got %+v", got)
	}
	for query, says := range map[string]string{
		"": "give at least one filter", "?limit=1": "give at least one filter", "?state=dead": "only builds that wait",
		"?result=failure": "a build that waits has none", "?rule=cart&after=x": "after",
	} {
		if got := a.refused("POST", "/builds/cancel"+query, http.StatusBadRequest); !strings.Contains(got, says) {
			t.Errorf("%s: it says %s, want %q", query, got, says)
		}
	}
}
