package cli

import (
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.Local)
	for name, test := range map[string]struct {
		build admin.Build
		want  string
	}{
		"a build that waits for its next try": {admin.Build{State: store.Waiting, DueAt: now.Add(2100 * time.Millisecond)}, "next try 2026-01-31 08:00:02 (in 2s)"},
		"one that is due":                     {admin.Build{State: store.Waiting, DueAt: now.Add(-time.Minute)}, "next try 2026-01-31 07:59:00 (now)"},
		"one that is looked for":              {admin.Build{State: store.Unknown, DueAt: now.Add(time.Minute)}, "next search 2026-01-31 08:01:00 (in 1m0s)"},
		"one that is held by its order": {
			admin.Build{State: store.Waiting, Reason: string(store.HoldOrder), DueAt: now.Add(10 * time.Minute)},
			"next try 2026-01-31 08:10:00 (in 10m0s), or once that is resolved",
		},
		"one that is held by a call": {
			admin.Build{State: store.Waiting, Reason: string(store.HoldCall), DueAt: now.Add(15 * time.Second)},
			"next try 2026-01-31 08:00:15 (in 15s), or once that is resolved",
		},
		"one that was held, and is due": {admin.Build{State: store.Waiting, Reason: string(store.HoldOrder), DueAt: now}, "next try 2026-01-31 08:00:00 (now)"},
		"one that is worked":            {admin.Build{State: store.Calling, Worker: "a"}, " "},
		"one that is started":           {admin.Build{State: store.Started}, " "},
	} {
		if label, when := next(&test.build, now); label+" "+when != test.want {
			t.Errorf("%s is %q, want %q", name, label+" "+when, test.want)
		}
	}
}
