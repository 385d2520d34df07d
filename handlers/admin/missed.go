package admin

import (
	"context"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

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

func (a *API) listMissed(c echo.Context) error { return list(c, a.ListMissed) }

// ListMissed gives the missed pushes that a query of GET /api/v1/missed selects.
func (a *API) ListMissed(ctx context.Context, query url.Values) (page MissedPage, err error) {
	var f store.MissedFilter
	if err := (parameters{
		"source":     text(&f.Source),
		"repository": text(&f.Repository),
		"limit":      limit(&f.Limit),
		"after":      text(&f.After),
	}).take(query); err != nil {
		return page, err
	}
	missed, next, err := a.Store.Missed(ctx, f)
	if err != nil {
		return page, storeError("missed push", "", err)
	}
	return MissedPage{Missed: shown(missed, newMissed), Next: next}, nil
}
