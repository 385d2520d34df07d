package pages

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// parametersShown is how many parameters of a build a page has.
const parametersShown = 50

// builds is the list of builds.
func (p *pages) builds(c echo.Context) (page, error) {
	list, err := p.API.ListBuilds(c.Request().Context(), listed(c, listRows))
	return listPage("builds", "Builds", list, err)
}

// buildView is what the page of a build shows.
type buildView struct {
	admin.BuildDetail

	Way        []step
	Parameters []mapping.Parameter // at most parametersShown
	More       int                 // how many more there are
	Stages     string              // of a pipeline that runs some of its stages only
	Call       excerpt             // the body of the call
	Kind       mapping.Kind

	TraceURL, DashboardURL string
}

// build is the page of a build.
func (p *pages) build(c echo.Context) (page, error) {
	b, err := p.API.ShowBuild(c.Request().Context(), c.Param("id"))
	if err != nil {
		return page{}, err
	}
	v := buildView{
		BuildDetail: b, Way: wayOf(&b), Call: excerptOf(b.Body), Kind: mapping.Push,
		TraceURL:     p.Links.TraceOf(b.TraceID),
		DashboardURL: p.Links.DashboardOf("buildbridge-rules", url.Values{"var-rule": {b.Rule}, "var-target": {b.Target}}),
	}
	if b.Tag != "" {
		v.Kind = mapping.Tag
	}
	var sent struct {
		Parameters []mapping.Parameter `json:"parameter"`
		Variables  []mapping.Parameter `json:"variables"` // of a pipeline
		Stages     []string            `json:"choose_stages"`
	}
	if json.Unmarshal(b.Body, &sent) == nil { // else Call shows it as it is
		v.Parameters, v.More = first(append(sent.Parameters, sent.Variables...), parametersShown)
		v.Stages = strings.Join(sent.Stages, ", ")
	}
	return page{"build", "Build " + short(b.ID), v}, nil
}

// BuiltCommit is the commit of the push, or the one that the tag is on; "" if that is not known.
func (v buildView) BuiltCommit() string { return cmp.Or(v.Commit, v.TagCommit) }

// IsRun says whether it is a run of a pipeline.
func (v buildView) IsRun() bool { return v.Action == mapping.ActionPipeline }

// CanReplay says whether the build can be started once more.
func (v buildView) CanReplay() bool {
	return v.State.Final() && len(v.Body) > 0 && v.Result != store.Running
}

// CanStop says whether the service can be told to end the build.
func (v buildView) CanStop() bool {
	return v.State == store.Started && !v.Result.Final() && (v.Stop == "" || v.StoppedAt.IsZero() && v.Message != "")
}

// CanCancel says whether the build can be ended before it is called.
func (v buildView) CanCancel() bool { return v.State == store.Waiting }

// buildBody sends the whole body of the call of a build, as text.
func (p *pages) buildBody(c echo.Context) error {
	b, err := p.API.ShowBuild(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, echo.MIMETextPlainCharsetUTF8, b.Body)
}

// replayBuild starts a build once more, if its form knew the newest replay.
func (p *pages) replayBuild(c echo.Context, by mapping.By) (to string, err error) {
	last := c.Request().PostForm.Get("last")
	return p.changed(c, by, func(ctx context.Context, id string, by mapping.By) (admin.Build, error) {
		return p.API.ReplayBuildAfter(ctx, id, last, by)
	})
}

func (p *pages) stopBuild(c echo.Context, by mapping.By) (to string, err error) {
	return p.changed(c, by, p.API.StopBuild)
}

func (p *pages) cancelBuild(c echo.Context, by mapping.By) (to string, err error) {
	return p.changed(c, by, p.API.CancelBuild)
}

// changed changes the build of a path, and gives the page of what came of it.
func (p *pages) changed(
	c echo.Context, by mapping.By, change func(ctx context.Context, id string, by mapping.By) (admin.Build, error),
) (to string, err error) {
	b, err := change(c.Request().Context(), c.Param("id"), by)
	return "builds/" + b.ID, err
}
