package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// pipeline is the action of builds that run a pipeline of CodeArts Pipeline.
type pipeline struct{ *target }

// pipelineOf names the pipeline of a build.
func pipelineOf(b *store.Build) codearts.Pipeline {
	return codearts.Pipeline{ProjectID: b.ProjectID, ID: b.JobID}
}

func (p pipeline) missing() string {
	if p.Pipelines != nil {
		return ""
	}
	return fmt.Sprintf("target %q has no address of CodeArts Pipeline, which is not known of its region: write its pipeline_endpoint", p.Name)
}

func (p pipeline) address() string { return p.Pipelines.Address() }

func (p pipeline) clock() (now time.Time, known bool) { return p.Pipelines.Clock() }

// runMarker is the text in the description of a run by which the build is found whose call
// started it.
func runMarker(id string) string { return "bb-" + id }

// runMarkers are the markers of all builds. An id is a UUID.
var runMarkers = regexp.MustCompile(`bb-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// body has the marker in its description, and in a variable if the pipeline has one for it. What
// follows the marker is for people, and nothing that who pushes can choose: it could be the marker
// of another build.
func (pipeline) body(b mapping.Build, id string) any {
	r := codearts.RunPipelineRequest{
		Description:  fmt.Sprintf("%s rule %.500s %s", runMarker(id), b.Rule, cmp.Or(b.Commit, b.TagCommit)),
		Variables:    b.Parameters,
		ChooseStages: b.Stages,
	}
	r.Description = strings.TrimSpace(r.Description)
	if b.Marker != "" {
		r.Variables = append(slices.Clip(slices.Clone(b.Parameters)), mapping.Parameter{Name: b.Marker, Value: id})
	}
	for _, s := range b.Sources {
		commit := codearts.PipelineCommit{EventType: "Manual"} // as all known clients say
		if s.Tag != "" {
			commit.BuildType, commit.Tag = "tag", s.Tag
		} else {
			commit.BuildType, commit.TargetBranch, commit.CommitID = "branch", s.Branch, s.Commit
		}
		r.Sources = append(r.Sources, codearts.PipelineSource{Type: "code", Params: codearts.PipelineSourceParams{
			GitType: s.GitType, GitURL: s.GitURL, CodehubID: s.CodehubID, EndpointID: s.EndpointID,
			Alias: s.Alias, DefaultBranch: s.DefaultBranch, Build: commit,
		}})
	}
	return r
}

// again replaces the markers by those of the replay.
func (pipeline) again(old *store.Build, id string) ([]byte, error) {
	var r codearts.RunPipelineRequest
	if err := json.Unmarshal(old.Body, &r); err != nil {
		return nil, err
	}
	if r.Description = strings.Replace(r.Description, runMarker(old.ID), runMarker(id), 1); !strings.Contains(r.Description, runMarker(id)) {
		r.Description = runMarker(id)
	}
	for i := range r.Variables {
		if r.Variables[i].Name == old.Marker {
			r.Variables[i].Value = id
		}
	}
	return encode(r)
}

func (p pipeline) start(ctx context.Context, b *store.Build) (started, error) {
	run, err := p.Pipelines.RunPipeline(ctx, pipelineOf(b), b.Body)
	return started{number: run.RunID, queueID: run.QueueID, seen: seenAt(b)}, err
}

// seenAt orders the runs of a pipeline, whose ids have no order, by their calls.
func seenAt(b *store.Build) int64 { return b.CalledAt.UnixMicro() }

func (pipeline) whyRefused(context.Context, *store.Build, *codearts.Error) string { return "" }

// stop takes a run out of the queue of its pipeline, or stops it if it is not there any more.
func (p pipeline) stop(ctx context.Context, b *store.Build) error {
	if b.RunningAt.IsZero() {
		queueID := b.QueueID
		if queueID == "" {
			entry, err := p.queued(ctx, b)
			if err != nil {
				return err
			}
			queueID = entry.ID
		}
		if queueID != "" {
			err := p.Pipelines.CancelQueuedRun(ctx, pipelineOf(b), b.BuildNumber, queueID)
			if err == nil {
				b.Message = takenOut
			}
			e, ok := errors.AsType[*codearts.Error](err)
			if !ok || e.Fate != codearts.FateDead || e.Reason() == codearts.ReasonCredentials {
				return err
			}
		}
	}
	return p.Pipelines.StopRun(ctx, pipelineOf(b), b.BuildNumber)
}

// queued gives the entry of a build's run in the queue of its pipeline, one without a run if the
// queue does not have it.
func (p pipeline) queued(ctx context.Context, b *store.Build) (codearts.QueuedRun, error) {
	queue, err := p.Pipelines.QueuedRuns(ctx, pipelineOf(b))
	if err != nil {
		return codearts.QueuedRun{}, err
	}
	for _, entry := range queue {
		if entry.RunID == b.BuildNumber {
			return entry, nil
		}
	}
	return codearts.QueuedRun{}, nil
}
