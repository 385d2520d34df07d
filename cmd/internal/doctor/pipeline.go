package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

// askPipeline asks whether a pipeline can be read and run, and compares it with what rules send.
func askPipeline(ctx context.Context, client *codearts.Client, t *mapping.Target, j *job) asked {
	a := asked{Finding: Finding{
		Target: t.Name, Action: j.Action, JobID: j.JobID, ProjectID: j.ProjectID, Rules: j.rules,
		OK: true, Message: "the pipeline exists, and the credentials may read it, at " + bridge.PipelineEndpoint(t),
	}}
	pipeline := codearts.Pipeline{ProjectID: j.ProjectID, ID: j.JobID}
	var info codearts.PipelineInfo
	err := patiently(ctx, func() (err error) { info, err = client.PipelineInfo(ctx, pipeline); return })
	forbidden := false
	if e, ok := errors.AsType[*codearts.Error](err); ok && e.Status == http.StatusForbidden && !strings.HasPrefix(e.Code, "DEV") {
		forbidden = true // by a policy, which may allow to run it; codes of the service itself say that the project does not
	} else if err != nil {
		a.fail(err)
		return a
	}
	listed := patiently(ctx, func() error {
		now := time.Now()
		_, err := client.PipelineRuns(ctx, pipeline, now.Add(-lookBack), now)
		return err
	})
	switch {
	case listed != nil:
		a.fail(listed)
		return a
	case forbidden:
		a.Unseen, a.Message = true, "its runs can be listed"
		a.unseen(err, "how the pipeline is set up")
		a.Message += "; give the user the right to see it: else a lost answer to a call keeps its build waiting"
		return a
	}
	a.Job = info.Name
	if info.Banned {
		a.OK, a.Message = false, "the pipeline is disabled, and runs nothing: enable it in the console"
	}
	a.Warnings = doubtsOfPipeline(info, j.uses)
	return a
}

// doubtsOfPipeline compares what rules send to a pipeline with how it is set up.
func doubtsOfPipeline(info codearts.PipelineInfo, uses []mapping.Use) (doubts []string) {
	doubt := func(format string, args ...any) { doubts = append(doubts, fmt.Sprintf(format, args...)) }
	if info.Ignores {
		doubt("the pipeline queues no run over its limit: the call is refused and made again later, or the run is ignored and its build ends " +
			"as aborted: let it queue such runs, in its settings of concurrency")
	}
	for _, use := range uses {
		var unknown, fixed, aliases []string
		for _, name := range use.Parameters {
			i := slices.IndexFunc(info.Variables, func(v codearts.PipelineVariable) bool { return v.Name == name })
			switch {
			case i < 0:
				unknown = append(unknown, name)
			case !info.Variables[i].Runtime:
				fixed = append(fixed, name)
			}
		}
		if info.Variables != nil && unknown != nil {
			doubt("rule %q sends %s, which the pipeline does not declare: add it to the pipeline's parameters, or leave it out of the rule",
				use.Rule, strings.Join(unknown, ", "))
		}
		if fixed != nil {
			doubt("rule %q sends %s, which the pipeline does not take for a run: switch on \"Set at run time\" for it in the pipeline's parameters",
				use.Rule, strings.Join(fixed, ", "))
		}
		for _, source := range use.Sources {
			if source.Alias != "" && !slices.Contains(info.Aliases, source.Alias) {
				aliases = append(aliases, source.Alias)
			}
		}
		if aliases != nil && info.Sources > 0 {
			doubt("rule %q names the source %s, and the pipeline has none with this alias", use.Rule, strings.Join(aliases, ", "))
		}
		if info.Sources > 1 && len(use.Sources) == 1 && use.Sources[0] == (mapping.CodeSource{}) {
			doubt("the pipeline has %d code sources, and rule %q does not say which is built: write sources in the rule, each with git_url or "+
				"alias", info.Sources, use.Rule)
		}
	}
	return doubts
}
