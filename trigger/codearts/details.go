package codearts

import (
	"cmp"
	"context"
	"strings"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// Source is what a build builds: a commit, and its tag if it is the build of a tag. Both may
// be "" while the build is queued.
type Source struct{ Commit, Tag string }

// Source reads what one build builds.
func (c *Client) Source(ctx context.Context, jobID, buildNumber string) (Source, error) {
	d, err := c.Details(ctx, jobID, buildNumber, nil)
	return d.Source, err
}

// Details are what the service knows of a build beside its [Record]. Whatever it does not say is
// zero. The names are those of the official SDK v0.1.207, RecordInfo2Result.
type Details struct {
	Source

	Branch    string
	RecordID  string // build_record_id: of logs, and of addresses in the console
	ProjectID string // devcloud_project_id: of the CodeArts project, likewise
	Region    string
	Message   string // err_msg: why it failed, one line of at most 500 characters
	Status    string // its values are not documented: for people; Record.Outcome is what counts

	// Created is when the service made the record, Started when it began with it, Runs when
	// it really ran after the queue, Finished when it ended: to the second, wall clocks in
	// the zone of the service, or times with their own. (queued_time and schedule_time are
	// durations by the SDK, and not read.)
	Created, Started, Runs, Finished time.Time
}

// Details reads the details of one build. loc is as in Records. The fate of an error is not
// FateUnknown.
func (c *Client) Details(ctx context.Context, jobID, buildNumber string, loc *time.Location) (Details, error) {
	result, err := readBuild[map[string]any](ctx, c, "read record", "record", jobID, buildNumber, "record-info")
	if err != nil {
		return Details{}, err
	}
	at := func(name string) time.Time {
		t, _ := parseTime(text(result, name), cmp.Or(loc, time.UTC))
		return t
	}
	say := func(name string) string { return quoted.Line(text(result, name), 255) }
	return Details{
		Source:    Source{Commit: text(result, "commit"), Tag: text(result, "tag")},
		Branch:    say("branch"),
		RecordID:  say("build_record_id"),
		ProjectID: say("devcloud_project_id"),
		Region:    say("region"),
		Message:   quoted.Line(text(result, "err_msg"), 500),
		Status:    quoted.Line(cmp.Or(text(result, "status"), text(result, "record_status")), 64),
		Created:   at("create_time"),
		Started:   at("start_time"),
		Runs:      at("runnable_time"),
		Finished:  at("finish_time"),
	}, nil
}

// FailedStep reads the name of the first step of a build that failed: one line of at most 255
// characters, "" if none did. The fate of an error is not FateUnknown.
func (c *Client) FailedStep(ctx context.Context, jobID, buildNumber string) (string, error) {
	const op = "read steps"
	a, err := c.readOne(ctx, op, "/v3/jobs", jobID, buildNumber, "history-details")
	if err != nil {
		return "", err
	}
	object := a.object
	if result, ok := object["result"].(map[string]any); ok {
		object = result
	}
	steps, ok := object["build_steps"].([]any)
	if !ok && object["build_steps"] != nil {
		return "", unreadable(op)
	}
	for _, item := range steps {
		step, ok := item.(map[string]any)
		if !ok {
			return "", unreadable(op)
		}
		if strings.EqualFold(text(step, "status"), "error") {
			return quoted.Line(text(step, "name"), 255), nil
		}
	}
	return "", nil
}
