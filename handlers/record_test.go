package handlers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// A line of an export has what rules read, and parses to the same.
func TestRecord(t *testing.T) {
	b := newBridge(t, nil)
	old := b.kept(t)
	r := b.Record(old)
	want := b.store.accepted[0].delivery.Events[0]
	if len(r.Events) != 1 || r.ID != old.ID || r.Source != "github" || !r.ReceivedAt.Equal(old.ReceivedAt) || r.Origin != "" || r.Error != "" {
		t.Fatalf("got %+v", r)
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	read, _, err := mapping.ParseRecorded(line)
	if err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	want.FilesUnknown = "" // for people, not for rules
	if got := read.Events[0].Event; !equalJSON(t, got, want) || got.Origin != mapping.OriginWebhook {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if strings.Contains(strings.ToLower(string(line)), "header") || len(r.Rules) > 0 {
		t.Errorf("there is more than the events: %s", line)
	}
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	first, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(first) == string(second)
}

// A start by hand has no body of a code host, and may be for some rules only.
func TestRecordOfStart(t *testing.T) {
	b := starting(t)
	started := b.Start(t.Context(), handlers.Start{Source: "github", Repository: "acme/shop", Ref: "refs/heads/main", Commit: commit, Rules: []string{"cart"}})
	if started.Outcome != "accepted" {
		t.Fatalf("got %+v", started)
	}
	r := b.Record(b.store.accepted[0].delivery)
	if len(r.Events) != 1 || r.Events[0].Commit != commit || r.Events[0].Origin != mapping.OriginManual ||
		r.Origin != mapping.OriginManual || len(r.Rules) != 1 || r.Rules[0] != "cart" {
		t.Errorf("got %+v", r)
	}
}

func TestRecordThatCannotBe(t *testing.T) {
	b := newBridge(t, nil)
	for want, change := range map[string]func(d *mapping.Delivery){
		`the rules have no source "gone" any more`:       func(d *mapping.Delivery) { d.Source = "gone" },
		"the body of this delivery is not kept any more": func(d *mapping.Delivery) { d.Body = nil },
		"malformed":                   func(d *mapping.Delivery) { d.Body = []byte(`{"ref":1}`) },
		"an error inside buildbridge": func(d *mapping.Delivery) { d.Provider = "sourceforge" },
	} {
		old := b.kept(t)
		change(&old)
		if r := b.Record(old); !strings.Contains(r.Error, want) || len(r.Events) > 0 || r.ID != old.ID {
			t.Errorf("got %+v, want the error %q", r, want)
		}
	}
}
