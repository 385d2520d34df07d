package codearts

import (
	"context"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// JobDisabled says that a job was disabled, and by whom. Whatever the service does not say is zero.
type JobDisabled struct {
	By, Reason string    // one line of at most 255 and 500 characters
	At         time.Time // zero for a wall clock, whose zone is not known
}

// Since says who disabled the job and since when, as far as that is known: " by ann since
// 2026-02-05T10:00:00Z", or "".
func (d *JobDisabled) Since() string {
	text := ""
	if d.By != "" {
		text += " by " + d.By
	}
	if !d.At.IsZero() {
		text += " since " + d.At.UTC().Format(time.RFC3339)
	}
	return text
}

// JobDisabled asks whether a job is disabled: nil if it is not. The caller may lack the right to
// see it, though it may start the job. The fate of an error is not FateUnknown.
func (c *Client) JobDisabled(ctx context.Context, jobID string) (*JobDisabled, error) {
	const op = "read whether the job is disabled"
	if err := checkJob(op, jobID); err != nil {
		return nil, err
	}
	r, err := c.read(ctx, op, "/v1/job/"+jobID+"/check/disable", nil)
	if err != nil {
		return nil, harmless(err)
	}
	result, ok := r.object["result"].(map[string]any)
	if _, said := r.object["result"]; !ok && (!said || r.object["result"] != nil) {
		return nil, unreadable(op)
	}
	if disabled, _ := flag(result, "disabled"); !disabled {
		return nil, nil //nolint:nilnil // it is not
	}
	d := &JobDisabled{
		By:     quoted.Line(text(result, "forbiddener"), 255),
		Reason: quoted.Line(text(result, "reson", "reason"), 500), // "reson" is how the service spells it
	}
	at := text(result, "forbidden_time")
	if _, err := time.Parse(wallClock, at); err != nil {
		d.At, _ = parseTime(at, time.UTC)
	}
	return d, nil
}
