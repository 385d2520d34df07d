package admin

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/trigger/store"
)

// Missed is a push whose delivery never came, as catch-up found out. It is listed until the
// delivery comes, the branch or tag moves on, or it is older than deliveries are kept.
type Missed struct {
	Source     string    `json:"source"`
	Repository string    `json:"repository"` // in lower case
	Ref        string    `json:"ref"`
	Commit     string    `json:"commit"` // also of an annotated tag
	FoundAt    time.Time `json:"found_at"`
	MissedAt   time.Time `json:"missed_at"`          // since when it counts as missed: a look later
	Delivery   string    `json:"delivery,omitempty"` // the delivery that was made of it
	Built      bool      `json:"built"`              // that delivery has builds; else it can be replayed
}

// MissedPage is a page of missed pushes, the newest first.
type MissedPage struct {
	Missed []Missed `json:"missed"`
	Next   string   `json:"next,omitempty"` // for after; "" on the last page
}

func newMissed(m *store.MissedRef) Missed {
	return Missed{
		Source: m.Source, Repository: m.Repository, Ref: m.Ref, Commit: m.Commit,
		FoundAt: m.FoundAt, MissedAt: m.MissedAt, Delivery: m.Delivery, Built: m.Built,
	}
}

func (a *api) listMissed(c echo.Context) error {
	var f store.MissedFilter
	if _, err := (parameters{
		"source":     text(&f.Source),
		"repository": text(&f.Repository),
		"limit":      limit(&f.Limit),
		"after":      text(&f.After),
	}).read(c.Request()); err != nil {
		return err
	}
	missed, next, err := a.Store.Missed(c.Request().Context(), f)
	if err != nil {
		return storeError("missed push", "", err)
	}
	return handlers.SendJSON(c, http.StatusOK, MissedPage{Missed: shown(missed, newMissed), Next: next})
}
