package hostapitest

import (
	"slices"
	"strconv"
	"time"
)

// checkRun is one of Gitee.
type checkRun struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	HeadSHA     string `json:"head_sha"`
	Status      string `json:"status"`
	Conclusion  string `json:"conclusion,omitempty"`
	CompletedAt string `json:"completed_at,omitempty"`

	repository string
}

func (c *call) createCheckRun() response {
	c.Commit = c.form().Get("head_sha")
	if !c.knows(c.Commit) {
		return c.fail(404, "Not Found Commit")
	}
	run := &checkRun{Name: c.form().Get("name"), HeadSHA: c.Commit, Status: "queued", repository: c.Repository}
	return c.setCheckRun(run, 201)
}

func (c *call) changeCheckRun() response {
	i := slices.IndexFunc(c.runs, func(run *checkRun) bool {
		return strconv.FormatInt(run.ID, 10) == c.r.PathValue("id") && c.named(run.repository)
	})
	if i < 0 {
		return c.fail(404, "Not Found CheckRun")
	}
	run := c.runs[i]
	c.Commit = run.HeadSHA
	if run.Status == "completed" {
		return c.fail(400, "the check run is completed: its conclusion cannot be changed")
	}
	return c.setCheckRun(run, 200)
}

func (c *call) setCheckRun(run *checkRun, status int) response {
	form := c.form()
	state, conclusion := form.Get("status"), form.Get("conclusion")
	if state == "" {
		state = run.Status
	}
	if conclusion != "" {
		state = "completed"
	}
	conclusions := []string{"success", "failure", "cancelled", "timed_out", "neutral", "skipped", "stale", "action_required"}
	switch {
	case form.Get("name") == "":
		return c.fail(400, "name is missing")
	case long(form.Get("name"), 100):
		return c.fail(400, "name is too long")
	case form.Get("output[title]") == "" || form.Get("output[summary]") == "":
		return c.fail(400, "output[title], output[summary] is missing")
	case long(form.Get("output[title]"), 200):
		return c.fail(400, "output[title] is too long")
	case !slices.Contains([]string{"queued", "in_progress", "completed"}, state):
		return c.fail(400, "status does not have a valid value")
	case state == "completed" && !slices.Contains(conclusions, conclusion):
		return c.fail(400, "conclusion does not have a valid value")
	}
	for _, at := range []string{"started_at", "completed_at"} {
		if _, err := time.Parse(time.RFC3339, form.Get(at)); form.Has(at) && err != nil {
			return c.fail(400, at+" is invalid")
		}
	}
	if run.ID == 0 {
		c.ids++
		run.ID = c.ids
		for _, old := range c.runs { // those of the name that have ended give way to the new one
			if old.Name == run.Name && old.HeadSHA == run.HeadSHA && old.Status == "completed" {
				c.hide(strconv.FormatInt(old.ID, 10))
			}
		}
		c.runs = append(c.runs, run)
	}
	run.Status, run.Conclusion, run.CompletedAt = state, conclusion, form.Get("completed_at")
	c.Context, c.Description, c.TargetURL = run.Name, form.Get("output[title]"), form.Get("details_url")
	if c.State = conclusion; c.State == "" {
		c.State = state
	}
	c.ID = strconv.FormatInt(run.ID, 10)
	c.take(c.ID)
	return response{status: status, body: run}
}

func (c *call) listCheckRuns() response {
	list := []*checkRun{}
	for _, run := range c.runs {
		if name := c.r.FormValue("check_name"); run.HeadSHA == c.Commit && c.named(run.repository) && (name == "" || name == run.Name) {
			list = append(list, run)
		}
	}
	return response{status: 200, body: map[string]any{"total_count": len(list), "check_runs": list}}
}
