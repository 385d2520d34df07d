package mapping

import (
	"testing"
	"time"
)

func TestConcurrency(t *testing.T) {
	for name, test := range map[string]struct {
		written string
		want    Concurrency
	}{
		"nothing":            {"", Concurrency{}},
		"newest":             {"newest", Concurrency{Replace: ReplaceWaiting}},
		"what it stands for": {"{replace: waiting}", Concurrency{Replace: ReplaceWaiting}},
		"running":            {"{replace: running}", Concurrency{Replace: ReplaceRunning}},
		"a limit":            {"{max_running: 3}", Concurrency{MaxRunning: 3}},
		"settle":             {"{settle: 10s}", Concurrency{Replace: ReplaceWaiting, Settle: 10 * time.Second}},
		"all": {
			"{replace: running, max_running: 1, settle: 1m30s}",
			Concurrency{Replace: ReplaceRunning, MaxRunning: 1, Settle: 90 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			field := ""
			if test.written != "" {
				field = ", concurrency: " + test.written
			}
			rs := rulesOf(t, "  - {name: r, when: {push: , tag: }, jobs: [{job_id: "+jobA+"}, {job_id: "+jobB+"}]"+field+"}")
			builds := append(rs.Decide(pushEvent(nil)), rs.Decide(tagEvent("v1"))...)
			if len(builds) != 4 {
				t.Fatalf("%d builds", len(builds))
			}
			for _, b := range builds {
				want := test.want
				if b.Tag != "" {
					want = Concurrency{}
				}
				if b.Concurrency != want {
					t.Errorf("%s: %+v, want %+v", b.Ref, b.Concurrency, want)
				}
			}
		})
	}
}
