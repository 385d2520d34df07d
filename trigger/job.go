package trigger

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// job is the action of builds that start a job of CodeArts Build.
type job struct{ *target }

func (j job) missing() string { return "" }

func (j job) address() string { return j.Service.Address() }

func (j job) clock() (now time.Time, known bool) { return j.Service.Clock() }

// body has either the tag or the commit, and the id of the build if the job has a parameter for
// it.
func (job) body(b mapping.Build, id string) any {
	r := codearts.RunJobRequest{JobID: b.JobID, Parameters: b.Parameters}
	if b.Marker != "" {
		r.Parameters = append(slices.Clip(slices.Clone(b.Parameters)), mapping.Parameter{Name: b.Marker, Value: id})
	}
	scm := codearts.SCM{Branch: b.Source.Branch, RepoID: b.Source.RepoID, URL: b.Source.URL}
	switch {
	case b.Tag != "":
		if scm.BuildTag = b.Tag; b.BuildType {
			scm.BuildType = codearts.BuildTypeTag
		}
		r.SCM = &scm
	case b.Commit != "":
		if scm.BuildCommitID = b.Commit; b.BuildType {
			scm.BuildType = codearts.BuildTypeCommit
		}
		r.SCM = &scm
	}
	return r
}

// again gives the marker the id of the replay.
func (job) again(old *store.Build, id string) ([]byte, error) {
	if old.Marker == "" {
		return old.Body, nil
	}
	var r codearts.RunJobRequest
	if err := json.Unmarshal(old.Body, &r); err != nil {
		return nil, err
	}
	for i := range r.Parameters {
		if r.Parameters[i].Name == old.Marker {
			r.Parameters[i].Value = id
		}
	}
	return encode(r)
}

func (j job) start(ctx context.Context, b *store.Build) (started, error) {
	number, err := j.Service.RunJob(ctx, b.Body)
	return started{number: number}, err
}

// whyRefused asks whether the job is disabled, which the answer of RunJob is not known to say. The
// caller may lack the right to see it.
func (j job) whyRefused(ctx context.Context, b *store.Build, refusal *codearts.Error) string {
	if refusal.NoSuchJob() || refusal.Reason() == codearts.ReasonCredentials {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	d, err := j.Service.JobDisabled(ctx, b.JobID)
	if err != nil || d == nil {
		return ""
	}
	why := "the job is disabled" + d.Since()
	if d.Reason != "" {
		why += ": " + d.Reason
	}
	return why
}

func (j job) stop(ctx context.Context, b *store.Build) error {
	return j.Service.Stop(ctx, b.JobID, b.BuildNumber)
}
