package codearts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// Pipeline names a pipeline of CodeArts Pipeline. The paths of its calls are those of the API
// reference; of the Terraform provider and of the official SDK v0.1.207 where they have the call.
type Pipeline struct {
	ProjectID string // of the CodeArts project, 32 hexadecimal digits: not that of the IAM project
	ID        string // 32 hexadecimal digits
}

// pathIDs are the ids of runs and of entries in a queue. The documented ones have 32 letters and
// digits.
var pathIDs = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// path gives the path of a call of a pipeline. The ids become part of it, and are checked.
func (p Pipeline) path(op string, parts ...string) (string, error) {
	for _, id := range [][2]string{{"project", p.ProjectID}, {"pipeline", p.ID}} {
		if !jobIDs.MatchString(id[1]) {
			return "", misused(op, fmt.Sprintf("%s id %q is not 32 letters and digits", id[0], quoted.Line(id[1], 64)), "")
		}
	}
	for _, part := range parts {
		if !pathIDs.MatchString(part) {
			return "", misused(op, fmt.Sprintf("%q is not the id of a run or of its entry in the queue", quoted.Line(part, 64)), "")
		}
	}
	return "/v5/" + p.ProjectID + "/api/pipelines/" + strings.Join(append([]string{p.ID}, parts...), "/"), nil
}

// askPipeline makes a call that starts nothing. The body of a POST is an object at least, because
// a gateway refuses one without.
func (c *Client) askPipeline(ctx context.Context, op, method, path string, query url.Values, body []byte) (reply, error) {
	if body == nil && method == http.MethodPost {
		body = []byte("{}")
	}
	r, err := c.do(ctx, call{op: op, method: method, path: path, query: query, body: body})
	if err == nil && r.refused() {
		err = r.error(op)
	}
	return r, adviseOnPipeline(harmless(err))
}

// adviseOnPipeline replaces advice about jobs.
func adviseOnPipeline(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	switch {
	case e.kind == refusedCredentials && strings.Contains(strings.ToLower(e.Message), "get token error"):
		e.kind, e.what = noAccess, "no such project"
		e.todo = "check project_id: it is that of the CodeArts project, from the address of its pipelines in the console, " +
			"and not that of the region's IAM project"
	case e.kind == noPermission:
		e.todo = "give the user or agency the permission to see, to run and to stop this pipeline, and add the user to its project"
	case e.kind == noSuchPath:
		e.todo = "check the region or pipeline_endpoint of the target"
	case e.kind == otherFailure && e.Status == http.StatusNotFound:
		e.todo = "check the region or pipeline_endpoint of the target, project_id and pipeline_id"
	case e.kind == badRequest && e.todo != "":
		e.todo = "correct the rule or the pipeline, then replay the build"
	}
	return err
}

// everyPage reads a list of runs in pages, each once: a run that is started meanwhile pushes another
// one onto the next page. A page may be shorter than it was asked for, and the service need not say
// how many there are: the end is a page with nothing new. page gives a page, whose member name has the runs; parse gives a run and
// its id.
func everyPage[T any](op, name string, parse func(map[string]any) (T, string), page func(offset int) (reply, error)) ([]T, error) {
	var runs []T
	seen := map[string]bool{"": true} // one without an id is none
	for offset := 0; offset < maxPages*pageSize; {
		r, err := page(offset)
		if err != nil {
			return nil, err
		}
		items, ok := r.object[name].([]any)
		if _, said := r.object[name]; !ok && (!said || r.object[name] != nil) {
			return nil, unreadable(op) // it is no proof that there are none
		}
		before := len(runs)
		for _, item := range items {
			object, ok := item.(map[string]any)
			if !ok {
				return nil, unreadable(op)
			}
			if run, id := parse(object); !seen[id] {
				seen[id] = true
				runs = append(runs, run)
			}
		}
		offset += len(items)
		total, err := strconv.Atoi(text(r.object, "total"))
		if len(items) == 0 || len(items) < pageSize && (len(runs) == before || err == nil && total > 0 && offset >= total) {
			return runs, nil
		}
	}
	return nil, misused(op, fmt.Sprintf("more than %d runs", maxPages*pageSize), "")
}
