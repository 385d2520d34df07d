package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

// finding is the result of `check --online` for one source, target or job.
type finding struct {
	Source  string   `json:"source,omitempty"`
	Target  string   `json:"target,omitempty"`
	JobID   string   `json:"job_id,omitempty"`
	Rules   []string `json:"rules,omitempty"` // that run the job
	OK      bool     `json:"ok"`
	Skipped bool     `json:"skipped,omitempty"` // the target was not asked: OK means only that nothing failed
	Message string   `json:"message"`

	Warnings []string `json:"warnings,omitempty"` // about its secrets
}

// String is the finding in a line.
func (f finding) String() string {
	verdict := "ok"
	switch {
	case f.Skipped:
		verdict = "not asked"
	case !f.OK:
		verdict = "FAILED"
	}
	var what string
	switch {
	case f.Source != "":
		what = fmt.Sprintf("source %q", f.Source)
	case f.JobID != "":
		what = fmt.Sprintf("target %q: job %s of %s", f.Target, f.JobID, strings.Join(f.Rules, ", "))
	default:
		what = fmt.Sprintf("target %q", f.Target)
	}
	lines := []string{fmt.Sprintf("online: %s: %s: %s", what, verdict, f.Message)}
	for _, w := range f.Warnings {
		lines = append(lines, fmt.Sprintf("online: %s: warning: %s", what, w))
	}
	return strings.Join(lines, "\n")
}

// atOnce is how many jobs are checked at the same time.
const atOnce = 4

// lookBack is how far back the records of a job are asked for. The records are not used; the
// service refuses them without a permission.
const lookBack = time.Minute

// ask reads the secrets and asks every target about every job of the rules, with one call
// for each job. It starts no build.
func ask(ctx context.Context, rules *mapping.Ruleset) iter.Seq[finding] {
	return func(yield func(finding) bool) {
		for _, s := range rules.Sources() {
			if !yield(askSource(s)) {
				return
			}
		}
		for _, t := range rules.Targets() {
			for _, f := range askTarget(ctx, t, jobsOf(rules, t.Name)) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

func askSource(s *mapping.Source) finding {
	f := finding{Source: s.Name, OK: true, Message: "its secrets can be read"}
	if s.Insecure {
		f.Message = "insecure: it accepts deliveries from anybody"
	}
	resolved, err := bridge.ResolveSource(s)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	f.Warnings = resolved.Doubts
	if !bridge.TakesStatuses(s) {
		return f
	}
	host, doubts, err := bridge.NewHost(s, nil, nil)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	host.Close()
	f.Warnings = append(f.Warnings, doubts...)
	return f
}

// job is one job of a target with the rules that run it.
type job struct {
	id    string
	rules []string
}

func jobsOf(rules *mapping.Ruleset, target string) []job {
	var jobs []job
	for j := range rules.Jobs() {
		if j.Target != target {
			continue
		}
		i := slices.IndexFunc(jobs, func(known job) bool { return known.id == j.JobID })
		if i < 0 {
			i = len(jobs)
			jobs = append(jobs, job{id: j.JobID})
		}
		if !slices.Contains(jobs[i].rules, j.Rule) {
			jobs[i].rules = append(jobs[i].rules, j.Rule)
		}
	}
	return jobs
}

func askTarget(ctx context.Context, t *mapping.Target, jobs []job) []finding {
	client, doubts, err := bridge.NewClient(t, nil)
	if err != nil {
		return []finding{{Target: t.Name, Message: oneLine(err, fmt.Sprintf("target %q: ", t.Name))}}
	}
	defer client.Close()
	if len(jobs) == 0 {
		return []finding{{Target: t.Name, OK: true, Skipped: true, Message: "no rule uses it; its secrets can be read", Warnings: doubts}}
	}
	found := make([]finding, len(jobs))
	slots := make(chan struct{}, atOnce)
	done := make(chan struct{})
	for i, j := range jobs {
		go func() {
			slots <- struct{}{}
			found[i] = askJob(ctx, client, t, j)
			<-slots
			done <- struct{}{}
		}()
	}
	for range jobs {
		<-done
	}
	found[0].Warnings = doubts
	return found
}

func askJob(ctx context.Context, client *codearts.Client, t *mapping.Target, j job) finding {
	f := finding{
		Target: t.Name, JobID: j.id, Rules: j.rules,
		OK: true, Message: "the job exists, and the credentials may read it, at " + bridge.Endpoint(t),
	}
	now := time.Now()
	if _, err := client.Records(ctx, j.id, now.Add(-lookBack), now, t.Reconcile.TimeZone); err != nil {
		f.OK, f.Message = false, oneLine(err, "")
	}
	return f
}

// oneLine puts joined errors into one line, each without the prefix that the finding shows
// already.
func oneLine(err error, prefix string) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, prefix)
	}
	return strings.Join(lines, "; ")
}
