package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/trigger/store"
)

// fullIDs replaces ids that were shortened by the whole ones: the id in the path, and those in the
// parameters of a list of builds.
func (a *API) fullIDs(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		deliveries := strings.HasPrefix(c.Path(), Prefix+"/deliveries")
		if given := c.Param("id"); given != "" {
			id, err := a.fullID(r.Context(), deliveries, given)
			if err != nil {
				return err
			}
			values := slices.Clone(c.ParamValues())
			values[slices.Index(c.ParamNames(), "id")] = id
			c.SetParamValues(values...)
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || deliveries || !query.Has("delivery") && !query.Has("replay_of") {
			return next(c)
		}
		for _, name := range []string{"delivery", "replay_of"} {
			id, err := a.fullID(r.Context(), name == "delivery", query.Get(name))
			switch refusal, is := err.(*handlers.Refusal); { //nolint:errorlint // it is never wrapped
			case is && refusal.Status == http.StatusNotFound: // a filter may match nothing
			case err != nil:
				return err
			case len(query[name]) == 1:
				query.Set(name, id)
			}
		}
		r.URL.RawQuery = query.Encode()
		return next(c)
	}
}

// fullID gives the one id of a delivery or of a build that begins with this. What cannot be the
// beginning of one is given back.
func (a *API) fullID(ctx context.Context, delivery bool, given string) (string, error) {
	if _, err := uuid.Parse(given); err == nil {
		return given, nil
	}
	kind, find, other, findOther := "build", a.Store.BuildIDs, "delivery", a.Store.DeliveryIDs
	if delivery {
		kind, find, other, findOther = other, findOther, kind, find
	}
	ids, ok, err := find(ctx, given)
	if ok && delivery {
		ids = a.withRejected(ids, given)
	}
	switch {
	case err != nil:
		return "", storeError(kind, given, err)
	case !ok:
		return given, nil
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		more := ""
		if len(ids) == store.MaxIDs {
			more = " and maybe more"
		}
		return "", seeing(fail(http.StatusConflict, "%q is the beginning of more than one id: %s%s: give more of it",
			given, strings.Join(ids, ", "), more), kind, ids...)
	}
	if ids, _, err := findOther(ctx, given); err == nil && len(ids) == 1 {
		return "", seeing(fail(http.StatusNotFound, "no %s has an id that begins with %s: it is the id of a %s, %s",
			kind, given, other, ids[0]), other, ids[0])
	}
	return "", fail(http.StatusNotFound, "no %s has an id that begins with %s; those older than the retention are deleted", kind, given)
}

// wholeID is fullID for an id that has to be one.
func (a *API) wholeID(ctx context.Context, delivery bool, given string) (string, error) {
	full, err := a.fullID(ctx, delivery, given)
	if err != nil {
		return "", err
	}
	id, err := uuid.Parse(full)
	if err != nil {
		kind := "build"
		if delivery {
			kind = "delivery"
		}
		return "", fail(http.StatusNotFound, "no %s has the id %q: an id is a UUID", kind, given)
	}
	return id.String(), nil
}

// withRejected adds the ids of rejected deliveries that begin with this, which are in no table, up to
// store.MaxIDs.
func (a *API) withRejected(ids []string, given string) []string {
	digits := func(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }
	for _, r := range a.Deliveries.Rejected() {
		if len(ids) < store.MaxIDs && strings.HasPrefix(digits(r.ID), digits(given)) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
