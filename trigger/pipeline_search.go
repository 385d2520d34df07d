package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// pipelineSearch is a search among the runs of a pipeline.
type pipelineSearch struct {
	*search
	certain func() (certainRun, error) // findCertain, which is asked once
}

// candidate is a run that the service lists, or has in the queue of its pipeline.
type candidate struct {
	codearts.PipelineRun
	queue codearts.QueuedRun // its entry; one without a run if it is not queued
}

// find searches the runs of the pipeline, and those that are queued.
func (p pipeline) find(ctx context.Context, of *search) (c candidates, err error) {
	s := &pipelineSearch{search: of}
	s.certain = sync.OnceValues(func() (certainRun, error) { return s.findCertain(ctx) })
	runs, err := s.list(ctx)
	if err != nil {
		return c, err
	}
	listed := make([]started, len(runs))
	for i, r := range runs {
		listed[i] = started{number: r.ID, queueID: r.queue.ID, seen: seenAt(s.build)}
	}
	c, err = s.among(ctx, listed, func(i int) (owner, string, error) { return s.isOurs(ctx, runs[i]) })
	c.afresh = c.undecided != "" // a run that leaves the queue may be in neither list for a moment
	if err == nil && len(c.ours) == 0 && c.undecided == "" {
		err = s.checkList(ctx, runs)
	}
	return c, err
}

// checkList returns an error if the list lacks the latest run of the pipeline, which was started since
// the time that it is asked for: then it proves nothing of others.
func (s *pipelineSearch) checkList(ctx context.Context, listed []candidate) error {
	latest, err := s.target.Pipelines.LatestRun(ctx, pipelineOf(s.build))
	if noSuchBuild(err) {
		return nil // it never ran
	}
	before := latest.Start.Before(s.from) && (!latest.Start.IsZero() || latest.Outcome() != codearts.OutcomeNone)
	if err != nil || before || slices.ContainsFunc(listed, func(c candidate) bool { return c.ID == latest.ID }) {
		return err
	}
	return fmt.Errorf("the list of runs proves nothing: it lacks run %s, the latest one", latest.ID)
}

// list reads the runs that may be of the call. They are asked for until now: a run that was queued
// may begin long after the call.
func (s *pipelineSearch) list(ctx context.Context) (all []candidate, err error) {
	p := pipelineOf(s.build)
	if _, err := s.target.Pipelines.PipelineInfo(ctx, p); err != nil {
		return nil, fmt.Errorf("its pipeline cannot be read, so that an empty list of runs would prove nothing: %w", err)
	}
	// First: a run that leaves the queue meanwhile is in the list then.
	queue, err := s.target.Pipelines.QueuedRuns(ctx, p)
	if err != nil {
		return nil, err
	}
	err = s.listAround(func() error {
		if now, _ := s.target.pipelinesNow(); s.to.Before(now.Add(clockMargin)) {
			s.to = now.Add(clockMargin)
		}
		runs, err := s.target.Pipelines.PipelineRuns(ctx, p, s.from, s.to)
		all = all[:0]
		for _, r := range runs {
			all = append(all, candidate{PipelineRun: r})
		}
		return err
	})
	for _, entry := range queue {
		if i := slices.IndexFunc(all, func(c candidate) bool { return c.ID == entry.RunID }); i >= 0 {
			all[i].queue = entry
		} else {
			all = append(all, candidate{queue: entry, PipelineRun: codearts.PipelineRun{
				ID: entry.RunID, TriggerType: entry.TriggerType, Start: entry.Enqueued,
			}})
		}
	}
	slices.SortStableFunc(all, func(x, y candidate) int { return x.Start.Compare(y.Start) })
	return all, err
}

// isOurs looks for the marker in the description of a run, and in its variables if the pipeline has
// one for it. A run without a marker is another's if runs show their markers, else it is undecided
// unless something contradicts that it is ours: it is never taken for ours. One that is queued may
// show only later what it will have.
func (s *pipelineSearch) isOurs(ctx context.Context, c candidate) (owner, string, error) {
	run, err := s.target.run(ctx, pipelineOf(s.build), c.ID)
	if err != nil && (!noSuchBuild(err) || c.queue.RunID == "") {
		return notOurs, "", err
	}
	unread := err != nil
	if unread { // it is only in the queue, which does not tell its description
		run = c.PipelineRun
	}
	queued := c.queue.RunID != "" || run.Queued()
	switch {
	case strings.Contains(run.Description, runMarker(s.build.ID)):
		return ours, "", nil
	case runMarkers.MatchString(run.Description):
		return notOurs, "", nil
	}
	certain, err := s.certain()
	if err != nil || certain.shows && !queued {
		return notOurs, "", err
	}
	if s.build.Marker != "" && !unread {
		found, err := s.compareVariable(ctx, run.ID, certain)
		if err != nil || found == ours || found == notOurs && !queued {
			return found, "", err
		}
	}
	if contradicts, err := s.contradicts(run, certain); err != nil || contradicts {
		return notOurs, "", err
	}
	if queued {
		return undecided, fmt.Sprintf("it cannot be told whether run %s is this one: "+
			"it is in the queue of the pipeline, and does not show a marker yet", c.ID), nil
	}
	why := fmt.Sprintf("it cannot be told whether run %s is this one: it does not show the marker %s, and no run of this pipeline "+
		"that is certainly ours has shown its marker; look at the runs in the console", c.ID, runMarker(s.build.ID))
	if s.build.Marker == "" {
		why += ", and give the job of the rule `marker: VARIABLE`, a variable of the pipeline that later runs can be told by"
	}
	return undecided, why, nil
}

// compareVariable compares the variable that holds the id of the build. It decides if it holds the
// id of a build, or if a run that is certainly ours has shown its own there.
func (s *pipelineSearch) compareVariable(ctx context.Context, runID string, certain certainRun) (owner, error) {
	has, err := s.target.Pipelines.RunVariables(ctx, pipelineOf(s.build), runID)
	if err != nil {
		return notOurs, err
	}
	value, found := valueOf(has, s.build.Marker)
	switch {
	case value == s.build.ID:
		return ours, nil
	case runMarkers.MatchString(runMarker(value)):
		return notOurs, nil
	case found && isMasked(has, s.build.Marker) || certain.Build == nil || certain.Marker != s.build.Marker:
		return undecided, nil
	}
	if has, err = s.target.Pipelines.RunVariables(ctx, pipelineOf(certain.Build), certain.BuildNumber); err != nil {
		return notOurs, err
	}
	if value, _ = valueOf(has, certain.Marker); value == certain.ID {
		return notOurs, nil
	}
	return undecided, nil
}

// triggersOfOthers are the documented ways in which a run starts that is no call.
var triggersOfOthers = []string{"Scheduler", "MR", "Push", "CreateTag", "Issue", "Note"}

// contradicts reports whether a run cannot be of the call: it was started before, in another way or
// name, or of another branch or tag.
func (s *pipelineSearch) contradicts(run codearts.PipelineRun, certain certainRun) (bool, error) {
	limit := s.at.Add(-s.target.Reconcile.Window)
	if !s.sure {
		limit = limit.Add(-clockMargin)
	}
	if !run.Start.IsZero() && run.Start.Before(limit) {
		return true, nil
	}
	if certain.Build != nil {
		if differ(run.TriggerType, certain.run.TriggerType) {
			return true, nil
		}
		recent := s.build.CalledAt.Sub(certain.CalledAt).Abs() < executorFor
		if recent && differ(run.Executor, certain.run.Executor) {
			return true, nil
		}
	} else if slices.ContainsFunc(triggersOfOthers, func(other string) bool { return strings.EqualFold(other, run.TriggerType) }) {
		return true, nil
	}
	var sent codearts.RunPipelineRequest
	if err := json.Unmarshal(s.build.Body, &sent); err != nil || len(sent.Sources) == 0 {
		return false, err
	}
	named := slices.DeleteFunc(slices.Clone(run.Built), func(built codearts.Built) bool { return built.Branch == "" && built.Tag == "" })
	return len(named) > 0 && !slices.ContainsFunc(named, func(built codearts.Built) bool {
		return slices.ContainsFunc(sent.Sources, func(source codearts.PipelineSource) bool {
			commit := source.Params.Build
			return commit.Tag != "" && commit.Tag == built.Tag || commit.TargetBranch != "" && commit.TargetBranch == built.Branch
		})
	}), nil
}

// differ reports whether two texts are known, and not the same.
func differ(x, y string) bool { return x != "" && y != "" && !strings.EqualFold(x, y) }

// certainRun is the last run of a pipeline that is certainly ours, because the service answered its
// id; without a build if there is none that can still be read.
type certainRun struct {
	*store.Build
	run   codearts.PipelineRun
	shows bool // its description has its marker: so do the others that we start
}

func (s *pipelineSearch) findCertain(ctx context.Context) (certainRun, error) {
	b, err := s.store.Answered(ctx, s.build.Target, s.build.Service, s.build.JobID)
	if err != nil || b == nil {
		return certainRun{}, err
	}
	run, err := s.target.run(ctx, pipelineOf(b), b.BuildNumber)
	old := time.Since(b.StartedAt) > s.target.Reconcile.Patience // else its record may lag behind
	if e, ok := errors.AsType[*codearts.Error](err); ok && e.Fate == codearts.FateDead && old {
		return certainRun{}, nil // the service has deleted it, or dropped it from its queue
	}
	return certainRun{b, run, strings.Contains(run.Description, runMarker(b.ID))}, err
}

// pipelinesNow is the time by the service's clock, and how wrong it may be.
func (t *target) pipelinesNow() (now time.Time, wrong time.Duration) {
	if now, known := t.Pipelines.Clock(); known {
		return now, t.Reconcile.Window
	}
	return time.Now(), clockMargin
}

// run reads a run. One that shows a marker, or should by now, is remembered.
func (t *target) run(ctx context.Context, p codearts.Pipeline, runID string) (codearts.PipelineRun, error) {
	return t.runs.get(record{jobID: p.ID, number: runID}, func() (codearts.PipelineRun, bool, error) {
		run, err := t.Pipelines.PipelineRun(ctx, p, runID)
		markers := runMarkers.FindAllString(run.Description, -1)
		now, wrong := t.pipelinesNow()
		young := run.Queued() || run.Start.IsZero() || now.Sub(run.Start) < t.Reconcile.Patience+wrong
		if err != nil || len(markers) == 0 && young {
			return run, false, err
		}
		return codearts.PipelineRun{
			ID: run.ID, TriggerType: run.TriggerType, Executor: run.Executor, Start: run.Start, Built: run.Built,
			Description: strings.Join(markers, " "),
		}, true, nil
	})
}
