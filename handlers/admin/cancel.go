package admin

import (
	"net/http"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// BuildCancels is the answer to the cancel of all builds that match a filter.
type BuildCancels struct {
	Canceled []string  `json:"canceled"` // ids
	Skipped  []Skipped `json:"skipped,omitempty"`
	Left     int64     `json:"left"`           // that match, for the next requests
	Next     string    `json:"next,omitempty"` // for after; "" if none are left
}

// CancelCount says how many builds match a filter, for a cancel.
type CancelCount struct {
	Builds int64   `json:"builds"`
	First  []Build `json:"first"` // of them, the oldest first, at most 10
}

func (a *API) cancelBuild(c echo.Context) error {
	return a.changeBuild(c, http.StatusOK, a.CancelBuild)
}

// cancelBuilds cancels the builds that match a filter, at most a page of them.
func (a *API) cancelBuilds(c echo.Context) error {
	f, err := cancelFilter(c)
	if err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	ids, left, next, err := a.Store.ToCancel(ctx, f)
	if err != nil {
		return storeError("build", "", err)
	}
	answer := BuildCancels{Canceled: []string{}, Left: left, Next: next}
	for some := range slices.Chunk(ids, atOnce) {
		if err := a.cancelAll(c, some, by(c, why), &answer); err != nil {
			return unavailable(err, "%s canceled, then the database did not answer: ask again, and they are left out",
				printable.Was(len(answer.Canceled), "build"))
		}
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}

// cancelAll cancels a few builds at once and adds them to the answer, in order. Its error is not
// about a single build.
func (a *API) cancelAll(c echo.Context, ids []string, by mapping.By, answer *BuildCancels) error {
	var (
		wg   sync.WaitGroup
		errs = make([]error, len(ids))
	)
	for i, id := range ids {
		wg.Go(func() { _, errs[i] = a.Builds.Cancel(c.Request().Context(), id, by) })
	}
	wg.Wait()
	var broken error
	for i, id := range ids {
		if errs[i] == nil {
			answer.Canceled = append(answer.Canceled, id)
			continue
		}
		refusal := storeError("build", id, errs[i])
		if refusal.Status < http.StatusInternalServerError {
			answer.Skipped = append(answer.Skipped, Skipped{ID: id, Reason: refusal.Detail})
		} else {
			broken = refusal
		}
	}
	return broken
}

// countCancels counts the builds that cancelBuilds would cancel.
func (a *API) countCancels(c echo.Context) error {
	f, err := cancelFilter(c)
	if err != nil {
		return err
	}
	f.Limit = firstShown
	ctx := c.Request().Context()
	ids, left, _, err := a.Store.ToCancel(ctx, f)
	if err != nil {
		return storeError("build", "", err)
	}
	first, err := a.buildsByID(ctx, ids)
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, CancelCount{Builds: int64(len(ids)) + left, First: first})
}

// cancelFilter reads the filter of the builds to cancel, which must not be empty.
func cancelFilter(c echo.Context) (store.BuildFilter, error) {
	f := store.BuildFilter{Limit: store.MaxPage}
	given, err := buildParameters(&f).read(c.Request())
	if err != nil {
		return f, err
	}
	given.Del("limit")
	given.Del("after")
	switch {
	case len(given) == 0:
		return f, fail(http.StatusBadRequest, "give at least one filter: state=waiting is for all builds that wait")
	case f.State != "" && f.State != string(store.Waiting):
		return f, fail(http.StatusBadRequest, "state: only builds that wait can be canceled; builds that run can be stopped")
	case f.Result != "":
		return f, fail(http.StatusBadRequest, "result: a build that waits has none")
	}
	return f, nil
}
