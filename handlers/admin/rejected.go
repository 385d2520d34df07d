package admin

import (
	"cmp"
	"net/http"
	"strings"

	"buildbridge/handlers"
	"buildbridge/trigger/store"
)

// rejected is the outcome of deliveries that are kept in memory only.
const rejected store.Outcome = "rejected"

func newRejected(r *handlers.Rejected) Delivery {
	return Delivery{
		ID: r.ID, ReceivedAt: r.ReceivedAt, Source: r.Source, Provider: r.Provider, HostID: r.HostID, Event: r.Event,
		Outcome: rejected, Reason: r.Reason, Status: r.Status, Detail: r.Detail, Client: r.Client, UserAgent: r.UserAgent,
	}
}

// findRejected gives a rejected delivery by its whole id; nil if it is none.
func (a *API) findRejected(id string) *handlers.Rejected {
	for _, r := range a.Deliveries.Rejected() {
		if strings.EqualFold(r.ID, id) {
			return &r
		}
	}
	return nil
}

// listRejected lists what this process rejected since its start, the newest first.
func (a *API) listRejected(f *store.DeliveryFilter) (page DeliveryPage, err error) {
	if cmp.Or(f.Repository, f.Ref, f.Commit, f.Origin) != "" {
		return page, fail(http.StatusBadRequest,
			"outcome: rejected deliveries are not decoded, and are found by source, reason, since and until only")
	}
	limit := cmp.Or(f.Limit, store.DefaultPage)
	skip := f.After != ""
	page.Deliveries = []Delivery{}
	for _, r := range a.Deliveries.Rejected() {
		switch {
		case skip:
			skip = r.ID != f.After
		case f.Source != "" && f.Source != r.Source, f.Reason != "" && f.Reason != r.Reason,
			!f.Since.IsZero() && r.ReceivedAt.Before(f.Since), !f.Until.IsZero() && !r.ReceivedAt.Before(f.Until):
		case len(page.Deliveries) == limit:
			page.Next = page.Deliveries[limit-1].ID
			return page, nil
		default:
			page.Deliveries = append(page.Deliveries, newRejected(&r))
		}
	}
	return page, nil
}
