package hostapitest

import (
	"slices"
	"strconv"
)

// pipeline is one of GitLab.
type pipeline struct {
	id                   int64
	project, commit, ref string
	taken                []string // the names of its CI jobs
	jobs                 []*job
}

// job is a status in a pipeline.
type job struct{ name, ref, user, state string }

// AddPipeline adds a pipeline to a commit at GitLab, such as that of a merge request, with CI
// jobs of those names.
func (s *Simulator) AddPipeline(repository, commit, ref string, jobs ...string) (id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addPipeline(repository, commit, ref, jobs).id
}

func (s *Simulator) addPipeline(repository, commit, ref string, jobs []string) *pipeline {
	s.ids++
	p := &pipeline{id: s.ids, project: repository, commit: commit, ref: ref, taken: jobs}
	s.pipelines = append(s.pipelines, p)
	return p
}

func (c *call) gitlab() response {
	var status struct {
		State       string `json:"state"`
		Name        string `json:"name"`
		Context     string `json:"context"`
		Ref         string `json:"ref"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		PipelineID  int64  `json:"pipeline_id"`
	}
	if !c.read(&status) {
		return response{status: 400, body: map[string]any{"error": "state is missing"}}
	}
	c.State, c.Context, c.TargetURL, c.Description, c.Ref = status.State, status.Name, status.TargetURL, status.Description, status.Ref
	if c.Context == "" {
		c.Context = status.Context
	}
	if c.Context == "" {
		c.Context = "default"
	}
	event, ok := gitlabEvents[c.State]
	switch {
	case !ok:
		return response{status: 400, body: map[string]any{"error": "state does not have a valid value"}}
	case !c.knows(c.Commit):
		return c.fail(404, "404 Commit Not Found")
	case long(c.TargetURL, 255):
		return c.fieldError("target_url", "is too long (maximum is 255 characters)")
	case c.TargetURL != "" && !isURL(c.TargetURL):
		return c.fieldError("target_url", "is blocked: Only allowed schemes are http, https")
	case long(c.Description, 255):
		return c.fieldError("description", "is too long (maximum is 255 characters)")
	case long(c.Context, 255):
		return c.fieldError("name", "is too long (maximum is 255 characters)")
	}
	p, bad := c.pipeline(status.PipelineID)
	if p == nil {
		return bad
	}
	if c.Ref == "" {
		c.Ref = p.ref
	}
	j, bad := p.job(c)
	if j == nil {
		return bad
	}
	if !slices.Contains(event.from, j.state) {
		return c.fail(400, "Cannot transition status via :"+event.name+" from :"+j.state+
			` (Reason(s): Status cannot transition via "`+event.name+`")`)
	}
	j.state = c.State
	c.ID = strconv.FormatInt(p.id, 10)
	c.take(c.Context, c.Ref, c.User, c.ID)
	return response{status: 201, body: map[string]any{
		"id": c.ids, "sha": c.Commit, "ref": c.Ref, "status": c.State, "name": c.Context, "pipeline_id": p.id,
	}}
}

// gitlabEvents are the changes that lead to a state, and where they may begin.
var gitlabEvents = map[string]struct {
	name string
	from []string
}{
	"pending":  {"enqueue", []string{"created"}},
	"running":  {"run", []string{"created", "pending"}},
	"success":  {"success", []string{"created", "pending", "running"}},
	"failed":   {"drop", []string{"created", "pending", "running"}},
	"canceled": {"cancel", []string{"created", "pending", "running"}},
	"skipped":  {"skip", []string{"created", "pending"}},
}

func (c *call) fieldError(field, what string) response {
	return response{status: 400, body: map[string]any{"message": map[string]any{field: []string{what}}}}
}

// pipeline gives that of the id, or else the newest of the commit and, if it was sent, the ref.
func (c *call) pipeline(id int64) (*pipeline, response) {
	for _, p := range slices.Backward(c.pipelines) {
		if c.named(p.project) && p.commit == c.Commit && (c.Ref == "" || c.Ref == p.ref) && (id == 0 || id == p.id) {
			return p, response{}
		}
	}
	ref := c.Ref
	switch {
	case id != 0:
		return nil, c.fail(404, "404 Pipeline for pipeline_id, sha and ref Not Found")
	case ref == "" && slices.Contains(c.o.TagCommits, c.Commit):
		return nil, c.fail(404, "404 References for commit Not Found")
	case ref == "":
		ref = "main" // a branch that has the commit
	}
	return c.addPipeline(c.Repository, c.Commit, ref, nil), response{}
}

// job gives the status that a call changes: one of the same name, ref and user that has not
// ended, or a new one.
func (p *pipeline) job(c *call) (*job, response) {
	for _, j := range slices.Backward(p.jobs) {
		if j.name == c.Context && j.ref == c.Ref && j.user == c.User && (j.state == "pending" || j.state == "running") {
			return j, response{}
		}
	}
	switch {
	case slices.Contains(p.taken, c.Context):
		return nil, c.fieldError("name", "has already been taken")
	case c.o.MaxJobs > 0 && len(p.jobs) >= c.o.MaxJobs:
		return nil, c.fail(422, "The number of jobs has exceeded the limit")
	}
	j := &job{name: c.Context, ref: c.Ref, user: c.User, state: "created"}
	p.jobs = append(p.jobs, j)
	return j, response{}
}
