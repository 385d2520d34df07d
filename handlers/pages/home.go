package pages

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// homeData is what the first page shows: what does not work now, what is held, and what came last.
type homeData struct {
	admin.Overview

	Lately     []ended // builds that did not do what they should
	Held       []held
	Running    int64 // builds, of all targets
	Waiting    int64
	Builds     []admin.Build
	Deliveries []admin.Delivery
	Rejected   []admin.Delivery
}

// held are builds of a target that wait because people said so, or have to say so.
type held struct {
	Target string
	Builds int64
	Why    string
	Which  string // the filter of a list of them
}

// ended are builds that ended in a way, of the last day.
type ended struct {
	What   string // a state or result
	Builds int64
	More   bool   // there are more than were counted
	Page   string // the list of them
}

const (
	waiting  = "state=waiting"
	homeRows = 10
	// lately is how old the deliveries of builds are at most that are counted, and an hour more: it is
	// counted from a full hour, so that the page is the same from one moment to the next.
	lately = 24 * time.Hour
	// latelyMost is how many of them are counted.
	latelyMost = 100
)

// home is the first page.
func (p *pages) home(c echo.Context) (page, error) {
	ctx := c.Request().Context()
	var (
		data homeData
		err  error
	)
	if data.Overview, err = p.API.Overview(ctx); err != nil {
		return page{}, err
	}
	for _, t := range data.Targets {
		data.Running, data.Waiting = data.Running+t.Running, data.Waiting+t.Waiting
		if t.Paused > 0 {
			data.Held = append(data.Held, held{t.Target, t.Paused, "a pause", waiting})
		}
		if t.Persons > 0 {
			data.Held = append(data.Held, held{t.Target, t.Persons, "a person at the service", "result=running"})
		}
		if t.Held > 0 {
			data.Held = append(data.Held, held{t.Target, t.Held, "max_running", waiting})
		}
	}
	if data.Lately, err = p.lately(ctx, time.Now()); err != nil {
		return page{}, err
	}
	builds, err := p.API.ListBuilds(ctx, url.Values{"limit": {strconv.Itoa(homeRows)}})
	if err != nil {
		return page{}, err
	}
	deliveries, err := p.API.ListDeliveries(ctx, url.Values{"limit": {strconv.Itoa(homeRows)}})
	if err != nil {
		return page{}, err
	}
	rejects, err := p.API.ListDeliveries(ctx, url.Values{"outcome": {rejected}, "limit": {strconv.Itoa(homeRows / 2)}})
	data.Builds, data.Deliveries, data.Rejected = builds.Builds, deliveries.Deliveries, rejects.Deliveries
	return page{"home", "buildbridge", data}, err
}

// lately counts the builds of the last day that are dead or failed, but for those that people canceled.
func (p *pages) lately(ctx context.Context, now time.Time) (all []ended, err error) {
	since := now.Add(-lately).UTC().Truncate(time.Hour)
	for _, way := range [][2]string{
		{"state", string(store.Dead)},
		{"state", string(store.Unknown)},
		{"result", string(store.Failure)},
		{"result", string(store.Timeout)},
		{"result", string(store.Lost)},
	} {
		query := url.Values{way[0]: {way[1]}, "limit": {strconv.Itoa(latelyMost)}}
		list, err := p.API.ListBuilds(ctx, query) // without since: an index has the newest of them
		if err != nil {
			return nil, err
		}
		query.Del("limit")
		query.Set("since", since.Format(time.RFC3339))
		e := ended{What: way[1], Page: "builds?" + query.Encode(), More: list.Next != ""}
		for i := range list.Builds {
			b := store.Build{State: list.Builds[i].State, Reason: list.Builds[i].Reason}
			switch {
			case list.Builds[i].ReceivedAt.Before(since):
				e.More = false
			case !b.Canceled():
				e.Builds++
			}
		}
		if e.Builds > 0 {
			all = append(all, e)
		}
	}
	return all, nil
}

// faultPage is the page that has more of a fault, "" for none.
func faultPage(f store.Fault) string {
	switch f.About {
	case store.FaultOfTarget:
		return "targets#" + url.PathEscape(f.Name)
	case store.FaultOfSource:
		return "targets#sources"
	case store.FaultMissed:
		return "missed?source=" + url.QueryEscape(f.Name)
	case store.FaultOfRules:
		return "rules"
	case store.FaultOfBridge:
	}
	return ""
}

// pausePage is the page of what a pause is about.
func pausePage(p admin.Pause) string {
	switch p.Kind {
	case store.PauseTarget:
		return "targets#" + url.PathEscape(p.Name)
	case store.PauseRule:
		return "rules/" + escaped(p.Name)
	case store.PauseRepository:
		return "repositories/" + escaped(p.Name)
	case store.PauseAll:
	}
	return "builds?state=waiting"
}
