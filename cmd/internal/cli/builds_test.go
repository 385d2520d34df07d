package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestReason(t *testing.T) {
	for name, test := range map[string]struct {
		build admin.Build
		want  string
	}{
		"one that waits":            {admin.Build{State: store.Waiting, Reason: "throttled"}, "waiting throttled"},
		"one that is superseded":    {admin.Build{State: store.Superseded, SupersededBy: "x", Reason: "r"}, "superseded by x"},
		"one that is not followed":  {admin.Build{State: store.Started}, "started "},
		"one that runs":             {admin.Build{State: store.Started, Result: store.Running}, "running "},
		"one that is to be stopped": {admin.Build{State: store.Started, Result: store.Running, Stop: "wrong"}, "running to be stopped: wrong"},
		"one that was stopped":      {admin.Build{State: store.Started, Result: store.Aborted, Stop: "wrong", Message: "m"}, "aborted wrong"},
		"one that others stopped":   {admin.Build{State: store.Started, Result: store.Aborted, Message: "m"}, "aborted m"},
		"one that ended too early":  {admin.Build{State: store.Started, Result: store.Success, Stop: "wrong"}, "success "},
		"one that failed in a step": {admin.Build{State: store.Started, Result: store.Failure, Step: "s", Message: "m"}, "failure s: m"},
		"one that says only where":  {admin.Build{State: store.Started, Result: store.Failure, Step: "s"}, "failure s"},
		"one that is lost":          {admin.Build{State: store.Started, Result: store.Lost, Message: "m"}, "lost m"},
		"one that waits for a person": {
			admin.Build{State: store.Started, Result: store.Running, WaitsForPerson: true, Message: store.WaitsForPerson + ", in stage \"ship\""},
			"running waits for a person at the service, in stage \"ship\"",
		},
		"one with an unreadable row": {admin.Build{State: store.Dead, Reason: "r", Error: "e"}, "dead e"},
	} {
		if got := fate(&test.build) + " " + reason(&test.build); got != test.want {
			t.Errorf("%s is %q, want %q", name, got, test.want)
		}
	}
}

func TestCourse(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.Local)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, test := range map[string]struct {
		build admin.Build
		want  [][2]string
	}{
		"one that was not started": {admin.Build{}, nil},
		"one in the queue": {
			admin.Build{Result: store.Running, StartedAt: ago(3 * time.Second)},
			[][2]string{{"queued for", "3s so far"}},
		},
		"one that runs, and is to be stopped": {
			admin.Build{Result: store.Running, StartedAt: ago(time.Minute), RunningAt: ago(50 * time.Second), Stop: "wrong"},
			[][2]string{{"queued for", "10s"}, {"runs since", "2026-01-31 07:59:10 (50s)"}, {"to be stopped", "wrong"}},
		},
		"one that was stopped": {
			admin.Build{
				Result: store.Aborted, StartedAt: ago(time.Minute), RunningAt: ago(time.Minute), Stop: "wrong",
				StoppedAt: ago(20 * time.Second), EndedAt: ago(10 * time.Second),
			},
			[][2]string{
				{"queued for", "0s"},
				{"ended", "2026-01-31 07:59:50"},
				{"took", "50s"},
				{"stopped", "2026-01-31 07:59:40: wrong"},
			},
		},
		"one that waits for a person": {
			admin.Build{
				Result: store.Running, StartedAt: ago(time.Minute), RunningAt: ago(50 * time.Second), WaitedAt: ago(20 * time.Second),
				WaitsForPerson: true,
			},
			[][2]string{{"queued for", "10s"}, {"runs since", "2026-01-31 07:59:10 (50s)"}, {"waits for a person since", "2026-01-31 07:59:40 (20s)"}},
		},
		"one that goes on after a person": {
			admin.Build{Result: store.Running, StartedAt: ago(time.Minute), RunningAt: ago(time.Minute), WaitedAt: ago(20 * time.Second)},
			[][2]string{{"queued for", "0s"}, {"runs since", "2026-01-31 07:59:00 (1m0s)"}, {"waited for a person until", "2026-01-31 07:59:40"}},
		},
		"one that is lost": {admin.Build{Result: store.Lost, StartedAt: ago(time.Hour)}, nil},
	} {
		if diff := cmp.Diff(test.want, course(&test.build, now)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTold(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.Local)
	base := admin.Status{Source: "github", Commit: "c", Context: "ci/cart", Build: "b"}
	for name, test := range map[string]struct {
		change func(s *admin.Status)
		want   [][2]string
	}{
		"nothing yet":  {func(*admin.Status) {}, [][2]string{{"told", "nothing yet"}}},
		"its end":      {func(s *admin.Status) { s.Told, s.ToldBuild = "success", "b" }, [][2]string{{"told", "success"}}},
		"an older one": {func(s *admin.Status) { s.Told, s.ToldBuild = "success", "a" }, [][2]string{{"told", "success, of build a"}}},
		"a newer one": {
			func(s *admin.Status) { s.Told, s.ToldBuild, s.Build = "pending", "n", "n" },
			[][2]string{{"told", "pending, of build n"}, {"is about", "build n, which is newer"}},
		},
		"refused, for now": {
			func(s *admin.Status) { s.Reason, s.Since, s.DueAt = "down", at, at.Add(time.Minute) },
			[][2]string{{"told", "nothing yet"}, {"not told", "down, since 2026-01-31 08:00:00"}, {"told again", "2026-01-31 08:01:00"}},
		},
		"refused for good": {
			func(s *admin.Status) { s.Reason = "no such commit" },
			[][2]string{{"told", "nothing yet"}, {"not told", "no such commit"}, {"told again", "never"}},
		},
	} {
		s := base
		test.change(&s)
		want := append([][2]string{{"status", "ci/cart on c, at github"}}, test.want...)
		if diff := cmp.Diff(want, told(&admin.BuildDetail{Build: admin.Build{ID: "b"}, Status: &s})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := told(&admin.BuildDetail{}); got != nil {
		t.Errorf("a build without a status has %v", got)
	}
}
