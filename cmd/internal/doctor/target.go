package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

// lookBack is how far back the records of a job are asked for. The records are not used; the
// service refuses them without a permission.
const lookBack = time.Minute

// unanswered is after how many questions in a row without an answer a target is given up.
const unanswered = 3

// clockOff is by how much the clocks of this machine and of the service may differ. A signature
// is refused at 15 minutes.
const clockOff = 5 * time.Minute

// job is one job or pipeline of a target with the ways in which rules run it.
type job struct {
	mapping.Job

	rules []string
	uses  []mapping.Use
}

func jobsOf(rules *mapping.Ruleset, target string) []*job {
	var jobs []*job
	known := map[mapping.Job]*job{}
	for _, use := range rules.Uses() {
		if use.Target != target {
			continue
		}
		key := use.Job
		key.Rule = ""
		j := known[key]
		if j == nil {
			j = &job{Job: key}
			known[key] = j
			jobs = append(jobs, j)
		}
		j.uses = append(j.uses, use)
		if !slices.Contains(j.rules, use.Rule) {
			j.rules = append(j.rules, use.Rule)
		}
	}
	return jobs
}

// target asks a target about its jobs.
func (d *Doctor) target(ctx context.Context, t *mapping.Target) {
	clients, doubts, err := bridge.NewClients(t, nil)
	if err != nil {
		d.Tell(Finding{Target: t.Name, Message: oneLine(err, fmt.Sprintf("target %q: ", t.Name))})
		return
	}
	defer clients.Close()
	all := jobsOf(d.Rules, t.Name)
	if len(all) == 0 {
		d.Tell(Finding{Target: t.Name, OK: true, Skipped: true, Message: "no rule uses it; its secrets can be read", Warnings: doubts})
		return
	}
	pipelines := slices.DeleteFunc(slices.Clone(all), func(j *job) bool { return j.Action != mapping.ActionPipeline })
	jobs := slices.DeleteFunc(all, func(j *job) bool { return j.Action == mapping.ActionPipeline })
	if len(jobs) > 0 {
		d.ask(ctx, t, clients.Builds, jobs, askJob, doubts)
		doubts = nil
	}
	switch {
	case len(pipelines) == 0:
	case clients.Pipelines == nil:
		d.Tell(Finding{Target: t.Name, Message: "the address of its pipelines is not known: give the target pipeline_endpoint", Warnings: doubts})
	default:
		d.ask(ctx, t, clients.Pipelines, pipelines, askPipeline, doubts)
	}
}

// asker asks a service about a job or a pipeline.
type asker func(ctx context.Context, client *codearts.Client, t *mapping.Target, j *job) asked

// ask asks a service of a target about its jobs, or about its pipelines: at least one.
func (d *Doctor) ask(ctx context.Context, t *mapping.Target, client *codearts.Client, jobs []*job, about asker, doubts []string) {
	silent, clocked, last, what := 0, false, "", jobs[0].Action.String()+"s"
	told := each(ctx, len(jobs), func(ctx context.Context, i int) asked { return about(ctx, client, t, jobs[i]) },
		func(i int, a asked) bool {
			if i == 0 {
				a.Warnings = slices.Concat(doubts, a.Warnings)
			}
			d.Tell(a.Finding)
			if now, known := client.Clock(); known && !clocked {
				clocked = true
				d.Tell(clockOf(t, jobs[0].Action, time.Until(now)))
			}
			if a.silent {
				silent++
			} else {
				silent = 0
			}
			last = "they would fail alike"
			if silent >= unanswered {
				last = fmt.Sprintf("there was no answer to the last %d questions", silent)
			}
			return !a.refused && silent < unanswered
		},
		d.counter(Finding{Target: t.Name}.Group()+": "+what, len(jobs)))
	if left := len(jobs) - told; left > 0 && ctx.Err() == nil {
		d.Tell(Finding{Target: t.Name, OK: true, Skipped: true, Message: fmt.Sprintf("%d more %s: %s", left, what, last)})
	}
}

// clockOf tells how the service's clock differs from that of this machine.
func clockOf(t *mapping.Target, of mapping.Action, ahead time.Duration) Finding {
	service := "the service"
	if of == mapping.ActionPipeline { // another host has another clock
		service = "the service of pipelines"
	}
	f := Finding{Target: t.Name, OK: true, Message: "the clocks of " + service + " and of this machine agree"}
	if ahead.Abs() > clockOff {
		way := "behind"
		if ahead < 0 {
			way = "ahead of"
		}
		f.OK = false
		f.Message = fmt.Sprintf("the clock of this machine is %v %s that of %s: at 15 minutes signatures are refused; set it by NTP",
			ahead.Abs().Round(10*time.Second), way, service)
	}
	return f
}

// asked is what came of the questions about a job.
type asked struct {
	Finding

	refused bool // the credentials, or the clock
	silent  bool // no answer came
}

func askJob(ctx context.Context, client *codearts.Client, t *mapping.Target, j *job) asked {
	a := asked{Finding: Finding{
		Target: t.Name, JobID: j.JobID, Rules: j.rules,
		OK: true, Message: "the job exists, and the credentials may read it, at " + bridge.Endpoint(t),
	}}
	err := patiently(ctx, func() error {
		now := time.Now()
		_, err := client.Records(ctx, j.JobID, now.Add(-lookBack), now, t.Reconcile.TimeZone)
		return err
	})
	if err != nil {
		a.fail(err)
		return a
	}
	var info codearts.JobInfo
	err = patiently(ctx, func() (err error) { info, err = client.JobInfo(ctx, j.JobID); return })
	disabled, silent := client.JobDisabled(ctx, j.JobID) // it says more, and may be forbidden
	if silent != nil {
		a.unseen(err, "whether it is disabled")
	}
	a.Job = info.Name
	switch {
	case info.Disabled || disabled != nil:
		a.OK, a.Message = false, "the job is disabled"+who(disabled)+", and starts nothing: enable it in the console"
	case info.MayNotRun:
		a.OK, a.Message = false, "the credentials may see the job, and not start it: give the user the permission to execute it"
	}
	var config codearts.JobConfig
	err = patiently(ctx, func() (err error) { config, err = client.JobConfig(ctx, j.JobID); return })
	a.unseen(err, "which parameters it declares")
	if a.Job == "" {
		a.Job = config.Name
	}
	if err == nil {
		a.Warnings = append(a.Warnings, doubtsOf(config, j.uses)...)
	}
	return a
}

// who says who disabled a job, since when and why, as far as that is known.
func who(d *codearts.JobDisabled) string {
	if d == nil {
		return ""
	}
	text := d.Since()
	if d.Reason != "" {
		text += fmt.Sprintf(" (%q)", d.Reason)
	}
	return text
}

// fail notes an error that says that builds cannot be started either.
func (a *asked) fail(err error) {
	a.OK, a.Message = false, oneLine(err, "")
	if e, ok := errors.AsType[*codearts.Error](err); ok {
		a.refused = e.Reason() == codearts.ReasonCredentials
		a.silent = e.Label() == "timeout" || e.Label() == "not_sent"
	}
}

// unseen adds to the message that a call which is of use, but not needed, failed.
func (a *asked) unseen(err error, what string) {
	if err == nil {
		return
	}
	why := "no answer"
	if e, ok := errors.AsType[*codearts.Error](err); ok && e.Status != 0 {
		why = fmt.Sprintf("the service answers %s", strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Code)))
	}
	a.Message += fmt.Sprintf("; %s cannot be seen: %s", what, why)
}

// doubtsOf compares what rules send to a job with what it declares.
func doubtsOf(config codearts.JobConfig, uses []mapping.Use) []string {
	var doubts []string
	onTag := slices.ContainsFunc(config.BuildTypes, func(kind string) bool { return strings.EqualFold(kind, codearts.BuildTypeTag) })
	for _, use := range uses {
		var unknown, missing []string
		for _, name := range use.Parameters {
			if !slices.ContainsFunc(config.Parameters, func(p codearts.JobParameter) bool { return p.Name == name }) {
				unknown = append(unknown, name)
			}
		}
		for _, p := range config.Parameters {
			if p.Needed && !slices.Contains(use.Parameters, p.Name) {
				missing = append(missing, p.Name)
			}
		}
		if config.Parameters != nil && unknown != nil {
			doubts = append(doubts, fmt.Sprintf("rule %q sends %s, which the job does not declare: "+
				"add it to the job's parameters, or leave it out of the rule", use.Rule, strings.Join(unknown, ", ")))
		}
		if missing != nil {
			doubts = append(doubts, fmt.Sprintf("rule %q does not send %s, which the job needs and has no default for",
				use.Rule, strings.Join(missing, ", ")))
		}
		if onTag && !use.BuildType {
			doubts = append(doubts, fmt.Sprintf("rule %q sends no build type, and the job is set to build a tag: "+
				"if its builds fail to start, write build_type: auto in the rule", use.Rule))
		}
	}
	return doubts
}

// patiently makes a call again if the service throttles it: three times, after what it asks for,
// at most half a minute.
func patiently(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		e, ok := errors.AsType[*codearts.Error](err)
		if !ok || e.Fate != codearts.FateThrottled || try > 3 || e.RetryAfter > 30*time.Second {
			return err
		}
		if !pause(ctx, max(e.RetryAfter, time.Duration(try)*time.Second)) {
			return err
		}
	}
}

// pause waits, and reports whether it was not ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
