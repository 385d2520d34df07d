package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// pauses knows the target north alone.
type pauses struct{ store *store.Store }

func (p pauses) Pause(ctx context.Context, asked *store.Pause) (*store.Pause, error) {
	if asked.Kind != store.PauseTarget || asked.Name != "north" {
		return nil, fmt.Errorf("%w: the rules have no target %q", store.ErrNotInRules, asked.Name)
	}
	return p.store.Pause(ctx, asked)
}

func (p pauses) Resume(ctx context.Context, kind store.PauseKind, name string, _ mapping.By) (*store.Pause, error) {
	return p.store.EndPause(ctx, kind, name)
}

func (p pauses) Pauses(ctx context.Context) ([]*store.Pause, map[string]string, error) {
	all, err := p.store.Pauses(ctx)
	return all, map[string]string{"cart": "release freeze"}, err
}

func TestPauses(t *testing.T) {
	a := writable(t)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	pause := func(token, body string, status int) string {
		t.Helper()
		r := request(http.MethodPost, admin.Prefix+"/pauses", token)
		r.Body = io.NopCloser(strings.NewReader(body))
		w := a.serve(r)
		if w.Code != status {
			t.Fatalf("%s: got %d %s, want %d", body, w.Code, w.Body, status)
		}
		return w.Body.String()
	}
	for body, says := range map[string]string{
		``:                                     "the body is not such as",
		`{"kind":"target","nam":"north"}`:      "the body is not such as",
		`{"kind":"target"}{}`:                  "the body is not such as",
		`{"kind":"target","until":"tomorrow"}`: "the body is not such as",
		`{"kind":"target","reason":"a\nb"}`:    "reason: give one line",
		`{"reason":"` + strings.Repeat("a", 1025) + `"}`: "1024 bytes",
	} {
		if got := pause(writeToken, body, http.StatusBadRequest); !strings.Contains(got, says) {
			t.Errorf("%s: it says %s, want %q", body, got, says)
		}
	}
	if got := pause(writeToken, `{"kind":"target","name":"nroth"}`, http.StatusNotFound); !strings.Contains(got, `no target \"nroth\"`) {
		t.Errorf("it says %s", got)
	}
	pause("", `{"kind":"target","name":"north","reason":"x"}`, http.StatusUnauthorized)

	var got admin.Pause
	body := fmt.Sprintf(`{"kind":"target","name":"north","reason":"maintenance","until":%q}`, until.Format(time.RFC3339))
	if err := json.Unmarshal([]byte(pause(writeToken, body, http.StatusOK)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Actor != "write" || got.Reason != "maintenance" || !got.Until.Equal(until) || got.Since.IsZero() || got.Before != nil {
		t.Errorf("got %+v", got)
	}
	if err := json.Unmarshal([]byte(pause(writeToken, `{"kind":"target","name":"north","reason":"longer"}`, http.StatusOK)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Before == nil || got.Before.Reason != "maintenance" {
		t.Errorf("got %+v", got)
	}
	var list admin.PauseList
	a.ask("GET", "/pauses", http.StatusOK, &list)
	if len(list.Pauses) != 2 || list.Pauses[0].Reason != "longer" || !list.Pauses[1].InRules || list.Pauses[1].Name != "cart" {
		t.Errorf("got %+v", list)
	}
	for query, status := range map[string]int{
		"": 400, "?kind=target": 400, "?kind=all&name=x": 400, "?kind=job&name=x": 400, "?kind=target&name=": 400, "?kind=target&name=south": 404,
	} {
		a.refused("DELETE", "/pauses"+query, status)
	}
	a.ask("DELETE", "/pauses?kind=target&name=north", http.StatusOK, &got)
	a.refused("DELETE", "/pauses?kind=target&name=north", http.StatusNotFound)
}

func TestStatus(t *testing.T) {
	a := writable(t)
	var got admin.Overview
	if a.ask("GET", "/status", http.StatusOK, &got); got.Version != "well" {
		t.Errorf("got %v", got)
	}
	a.broken = errors.New("the disk is gone")
	if says := a.refused("GET", "/status", http.StatusServiceUnavailable); strings.Contains(says, "disk") {
		t.Errorf("it says %s", says)
	}
}
