package trigger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// runsOf is a service of pipelines that answers what a test says, and starts nothing.
type runsOf struct {
	trigger.PipelineService

	unreadable, unqueued error // what asking for the pipeline, and for its queue, gives
	runs                 []codearts.PipelineRun
	queue                []codearts.QueuedRun
	details              map[string]codearts.PipelineRun
	variables            map[string]string // of the marker, by runs
}

func (s *runsOf) Address() string                    { return "pipelines" }
func (s *runsOf) Clock() (now time.Time, known bool) { return time.Now(), true }

func (s *runsOf) PipelineInfo(context.Context, codearts.Pipeline) (codearts.PipelineInfo, error) {
	return codearts.PipelineInfo{}, s.unreadable
}

func (s *runsOf) PipelineRuns(_ context.Context, _ codearts.Pipeline, from, to time.Time) (runs []codearts.PipelineRun, err error) {
	for _, r := range s.runs {
		if !r.Start.Before(from) && !r.Start.After(to) {
			runs = append(runs, r)
		}
	}
	return runs, nil
}

func (s *runsOf) QueuedRuns(context.Context, codearts.Pipeline) ([]codearts.QueuedRun, error) {
	return s.queue, s.unqueued
}

func (s *runsOf) PipelineRun(_ context.Context, _ codearts.Pipeline, id string) (codearts.PipelineRun, error) {
	if r, ok := s.details[id]; ok {
		return r, nil
	}
	return codearts.PipelineRun{}, &codearts.Error{Op: "read run", Fate: codearts.FateDead, Code: "DEV.CB.032011"} // no such run
}

func (s *runsOf) LatestRun(ctx context.Context, p codearts.Pipeline) (latest codearts.PipelineRun, err error) {
	for _, r := range s.details {
		if latest.ID == "" || r.Start.After(latest.Start) {
			latest = r
		}
	}
	if latest.ID == "" {
		return s.PipelineRun(ctx, p, "none")
	}
	return latest, nil
}

func (s *runsOf) RunVariables(_ context.Context, _ codearts.Pipeline, id string) ([]codearts.Parameter, error) {
	return []codearts.Parameter{{Name: "BRIDGE", Value: s.variables[id]}}, nil
}

// add adds a run that the list and the detail have.
func (s *runsOf) add(id, description string, change func(r *codearts.PipelineRun)) {
	r := codearts.PipelineRun{ID: id, Status: "RUNNING", TriggerType: "Manual", Executor: "me", Start: time.Now().Add(-59 * time.Second), Built: []codearts.Built{{Branch: "main"}}}
	if change != nil {
		change(&r)
	}
	s.runs = append(s.runs, r)
	r.Description = description
	s.details[id] = r
}

// A call of a minute ago got no answer. What the service shows decides whether a run is taken for the
// build, whether the call is made again, or whether the build is held.
func TestSearchAmongRuns(t *testing.T) {
	t.Parallel()
	const (
		again     = "the call before started none" // the reason of a build that waits again
		noMarker  = "does not show the marker bb-"
		otherMark = "bb-01999999-0000-7000-8000-000000000000 rule cart"
		certainly = "certain" // the run of an earlier build, whose id was answered
	)
	at := func(start time.Duration) func(r *codearts.PipelineRun) {
		return func(r *codearts.PipelineRun) { r.Start = time.Now().Add(start) }
	}
	for phrase, c := range map[string]struct {
		certain string // the description of the run that is certainly ours; "" for none
		marker  bool   // the pipeline has a variable for it
		set     func(s *runsOf, marker string)
		ours    string // the run that is taken for the build
		says    string // else the reason that the build has, of a search that holds it unless it is again
	}{
		"nothing is there": {set: func(*runsOf, string) {}, says: again},
		"the pipeline cannot be read": {
			set:  func(s *runsOf, _ string) { s.unreadable = errors.New("no member") },
			says: "an empty list of runs would prove nothing: no member",
		},
		"the queue cannot be read": {
			set:  func(s *runsOf, _ string) { s.unqueued = errors.New("no queue") },
			says: "search: no queue",
		},
		"a run has our marker, behind another text": {
			set: func(s *runsOf, marker string) {
				s.add("r0", otherMark, nil)
				s.add("r1", "of the shop, "+marker+" rule cart", nil)
				s.add("r2", "", nil)
			},
			ours: "r1",
		},
		"a run has the marker of another build": {
			set:  func(s *runsOf, _ string) { s.add("r1", otherMark, nil) },
			says: again,
		},
		"a run has no marker, and no run has shown one": {
			set:  func(s *runsOf, _ string) { s.add("r1", "", nil) },
			says: noMarker,
		},
		"a run has no marker, and ours do": {
			certain: "shown", set: func(s *runsOf, _ string) { s.add("r1", "", nil) }, says: again,
		},
		"a run has no marker, and ours do not either": {
			certain: "hidden", set: func(s *runsOf, _ string) { s.add("r1", "", nil) }, says: noMarker,
		},
		"it is in another name than ours": {
			certain: "hidden", says: again,
			set: func(s *runsOf, _ string) { s.add("r1", "", func(r *codearts.PipelineRun) { r.Executor = "ann" }) },
		},
		"it began in another way than ours": {
			certain: "hidden", says: again,
			set: func(s *runsOf, _ string) { s.add("r1", "", func(r *codearts.PipelineRun) { r.TriggerType = "Retry" }) },
		},
		"it began by a schedule": {
			set: func(s *runsOf, _ string) {
				s.add("r1", "", func(r *codearts.PipelineRun) { r.TriggerType = "Scheduler" })
			},
			says: again,
		},
		"it is of another branch": {
			set: func(s *runsOf, _ string) {
				s.add("r1", "", func(r *codearts.PipelineRun) { r.Built[0].Branch = "next" })
			},
			says: again,
		},
		"it is of a tag": {
			set: func(s *runsOf, _ string) {
				s.add("r1", "", func(r *codearts.PipelineRun) { r.Built = []codearts.Built{{Tag: "main"}, {}} })
			},
			says: again,
		},
		"it began before the call": {set: func(s *runsOf, _ string) { s.add("r1", "", at(-3*time.Minute)) }, says: again},
		"it began hardly before the call": {
			set: func(s *runsOf, _ string) { s.add("r1", "", at(-90*time.Second)) }, says: noMarker,
		},
		"it cannot be read yet": {
			set: func(s *runsOf, _ string) {
				s.add("r1", "", nil)
				delete(s.details, "r1")
			},
			says: "search: read run",
		},
		"it is only in the queue": {
			certain: "shown", says: "it is in the queue of the pipeline, and does not show a marker yet",
			set: func(s *runsOf, _ string) {
				s.queue = []codearts.QueuedRun{{ID: "q1", RunID: "r1", Status: "QUEUED", Enqueued: time.Now().Add(-59 * time.Second)}}
			},
		},
		"it was in the queue before the call": {
			says: again,
			set: func(s *runsOf, _ string) {
				s.queue = []codearts.QueuedRun{{ID: "q1", RunID: "r1", Status: "QUEUED", Enqueued: time.Now().Add(-time.Hour)}}
			},
		},
		"it is queued, and can be read, but shows no marker yet": {
			certain: "shown", says: "it is in the queue of the pipeline, and does not show a marker yet",
			set: func(s *runsOf, _ string) {
				s.details["r1"] = codearts.PipelineRun{ID: "r1", Status: "QUEUED"}
				s.queue = []codearts.QueuedRun{{ID: "q1", RunID: "r1", Status: "QUEUED"}}
			},
		},
		"it is queued by a schedule, and cannot be read": {
			says: again,
			set: func(s *runsOf, _ string) {
				s.queue = []codearts.QueuedRun{{ID: "q1", RunID: "r1", Status: "QUEUED", TriggerType: "Scheduler", Enqueued: time.Now()}}
			},
		},
		"it is of another branch too": {
			certain: "hidden", says: noMarker,
			set: func(s *runsOf, _ string) {
				s.add("r1", "", func(r *codearts.PipelineRun) { r.Built = []codearts.Built{{Branch: "stable"}, {Branch: "main"}} })
			},
		},
		"it is queued, and can be read": {
			ours: "r1",
			set: func(s *runsOf, marker string) {
				s.details["r1"] = codearts.PipelineRun{ID: "r1", Status: "QUEUED", Description: marker}
				s.queue = []codearts.QueuedRun{{ID: "q1", RunID: "r1", Status: "QUEUED"}}
			},
		},
		"its variable has our id": {
			marker: true, ours: "r1",
			set: func(s *runsOf, marker string) {
				s.add("r1", "", nil)
				s.variables["r1"] = strings.TrimPrefix(marker, "bb-")
			},
		},
		"its variable has the id of another build": {
			marker: true, says: again,
			set: func(s *runsOf, _ string) {
				s.add("r1", "", nil)
				s.variables["r1"] = "01999999-0000-7000-8000-000000000000"
			},
		},
		"its variable is hidden": {
			marker: true, says: noMarker,
			set: func(s *runsOf, _ string) {
				s.add("r1", "", nil)
				s.variables["r1"] = "***"
			},
		},
		"its variable has its default, and it is not known whether ours have theirs": {
			marker: true, says: noMarker, set: func(s *runsOf, _ string) { s.add("r1", "", nil) },
		},
		"its variable has its default, and that of ours has its id": {
			certain: "in its variable", marker: true, says: again, set: func(s *runsOf, _ string) { s.add("r1", "", nil) },
		},
		"the list lacks the latest run": {
			says: "the list of runs proves nothing: it lacks run r1, the latest one",
			set: func(s *runsOf, marker string) {
				s.add("r1", marker, nil)
				s.runs = nil
			},
		},
		"the list lacks the latest run, which began long before": {
			says: again,
			set: func(s *runsOf, _ string) {
				s.add("r1", "", at(-time.Hour))
				s.runs = nil
			},
		},
		"the list lacks the latest run, which does not say when it began": {
			says: "the list of runs proves nothing",
			set: func(s *runsOf, _ string) {
				s.details["r1"] = codearts.PipelineRun{ID: "r1", Status: "INIT"}
			},
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := patient()
			target.Timeout, target.Reconcile.Patience = time.Millisecond, time.Millisecond
			b := newTestTrigger(t, settings{stopped: true, target: target})
			service := &runsOf{details: map[string]codearts.PipelineRun{}, variables: map[string]string{}}
			b.SetRules([]trigger.Target{{Target: target, Service: b.client(t, target), Pipelines: service}}, nil, b.rules)
			called := func(build mapping.Build, ago time.Duration) *store.Build {
				if c.marker {
					build.Marker = "BRIDGE"
				}
				row := b.await(t, b.deliver(t, build)[0], store.Waiting)
				row.Service = service.Address()
				if _, err := b.store.BeginCall(t.Context(), row, time.Now().Add(-ago)); err != nil {
					t.Fatal(err)
				}
				return row
			}
			if c.certain != "" {
				before := flow(commitB)
				before.Ref = "refs/heads/before"
				row := called(before, time.Hour)
				row.State, row.Result, row.BuildNumber, row.StartedAt, row.Seen = store.Started, store.Success, certainly, row.CalledAt, row.CalledAt.UnixMicro()
				service.add(certainly, map[string]string{"shown": "bb-" + row.ID}[c.certain], at(-time.Hour))
				if c.certain == "in its variable" {
					service.variables[certainly] = row.ID
				}
				if err := b.store.Save(t.Context(), row); err != nil {
					t.Fatal(err)
				}
			}
			row := called(flow(commitA), time.Minute)
			row.State = store.Unknown
			if err := b.store.Save(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			c.set(service, "bb-"+row.ID)
			var got *store.Build
			for range 4 { // more often than a search that finds nothing is believed
				if _, err := b.Work(t.Context(), row.ID); err != nil {
					t.Fatal(err)
				}
				if got = b.await(t, row.ID, store.Unknown, store.Started, store.Waiting); got.State != store.Unknown {
					break
				}
			}
			want := store.Unknown
			switch {
			case c.ours != "":
				want = store.Started
			case c.says == again:
				want = store.Waiting
			}
			if got.State != want || got.BuildNumber != c.ours || !strings.Contains(got.Reason, c.says) {
				t.Errorf("it is %s, run %q: %s", got.State, got.BuildNumber, got.Reason)
			}
			if want == store.Started && (!got.Adopted || len(service.queue) > 0 && got.QueueID != service.queue[0].ID) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
