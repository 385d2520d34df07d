package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// DeliveryReplayCount says how many deliveries match a filter, for a replay, and what the
// rules of now would make of some of them.
type DeliveryReplayCount struct {
	Outcome    store.Outcome `json:"outcome"` // of the deliveries
	Deliveries int           `json:"deliveries"`
	First      []Explanation `json:"first"`          // of those from after on, the oldest first, at most limit
	Next       string        `json:"next,omitempty"` // for after; "" if there are no more
}

// DeliveryReplays is the answer to the replay of all deliveries that match a filter.
type DeliveryReplays struct {
	Replayed []handlers.Answer `json:"replayed"` // those that were decided, also if there was nothing to build
	Skipped  []Skipped         `json:"skipped,omitempty"`
	Left     int               `json:"left"`           // that match, for the next requests
	Next     string            `json:"next,omitempty"` // for after; "" if none are left
}

const (
	// maxReplayed is how many deliveries may match a filter.
	maxReplayed = 100_000
	// replayPage is how many deliveries one request replays if it does not say: one after the
	// other, in their order.
	replayPage = 200
	// replayFor is how long one request goes on.
	replayFor = 30 * time.Second
)

// countDeliveries counts the deliveries that replayDeliveries would replay, and says what
// would become of the first of them.
func (a *API) countDeliveries(c echo.Context) error {
	f, err := deliveryReplayFilter(c, firstShown)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	found, page, err := a.toReplay(ctx, &f)
	if err != nil {
		return err
	}
	answer := DeliveryReplayCount{Outcome: store.Outcome(f.Outcome), Deliveries: len(found), First: []Explanation{}}
	for i := range page {
		d, err := a.Store.Delivery(ctx, page[i].ID)
		if err != nil {
			return a.deliveryError(ctx, page[i].ID, err)
		}
		dealt, err := a.dealtWith(ctx, d)
		if err != nil {
			return storeError("delivery", d.ID, err)
		}
		answer.First = append(answer.First, Explanation{
			Delivery: newDelivery(d), Builds: []Build{}, Now: a.Deliveries.Decide(d.Delivery), Skipped: dealt,
		})
	}
	if len(page) < len(found) {
		answer.Next = f.cursor(page)
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}

// replayDeliveries replays the deliveries that match a filter, at most a page of them, the
// oldest first.
func (a *API) replayDeliveries(c echo.Context) error {
	f, err := deliveryReplayFilter(c, replayPage)
	if err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	if !a.bulk.TryLock() {
		return fail(http.StatusConflict, "another replay of many is under way")
	}
	defer a.bulk.Unlock()
	ctx := c.Request().Context()
	found, page, err := a.toReplay(ctx, &f)
	if err != nil {
		return err
	}
	began := time.Now() // after the list, which may take long: each request does something
	answer, done := DeliveryReplays{Replayed: []handlers.Answer{}}, 0
	for ; done < len(page) && time.Since(began) < replayFor; done++ {
		d, err := a.Store.Delivery(ctx, page[done].ID)
		if errors.Is(err, store.ErrNotFound) {
			answer.Skipped = append(answer.Skipped, Skipped{ID: page[done].ID, Reason: "it is not kept any more"})
			continue
		}
		if err != nil {
			return unavailable(err, "%s replayed, then the database did not answer: ask again, and they are left out",
				printable.Was(done, "delivery"))
		}
		if d.LastReplay != "" { // it would have another key than that replay, and be built again
			answer.Skipped = append(answer.Skipped, Skipped{ID: d.ID, Reason: "it was replayed meanwhile"})
			continue
		}
		dealt, err := a.dealtWith(ctx, d)
		if err != nil {
			return unavailable(err, "%s replayed, then the database did not answer: ask again, and they are left out",
				printable.Was(done, "delivery"))
		}
		if dealt != "" {
			answer.Skipped = append(answer.Skipped, Skipped{ID: d.ID, Reason: dealt, Done: true})
			continue
		}
		replayed, refusal := a.replayOf(ctx, d, by(c, why))
		switch {
		case refusal == nil:
			answer.Replayed = append(answer.Replayed, replayed)
		case refusal.Status >= http.StatusInternalServerError:
			return unavailable(refusal, "%s replayed, then: %s: ask again, and they are left out",
				printable.Was(done, "delivery"), refusal.Detail)
		default:
			answer.Skipped = append(answer.Skipped, Skipped{ID: d.ID, Reason: refusal.Detail})
		}
	}
	if answer.Left = len(found) - done; answer.Left > 0 {
		answer.Next = f.cursor(page[:done])
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}

// dealtWith says why a delivery that built nothing needs no replay any more: its ref and commit
// were built since, or it is of a missed push whose ref has moved on. It is "" if it needs one.
func (a *API) dealtWith(ctx context.Context, d *store.Delivery) (string, error) {
	if d.Outcome != store.Ignored || d.Ref == "" || d.Commit == "" {
		return "", nil
	}
	since, _, err := a.Store.Deliveries(ctx, store.DeliveryFilter{
		Source: d.Source, Repository: d.Repository, Ref: d.Ref, Commit: d.Commit, Outcome: string(store.Accepted), Since: d.ReceivedAt, Limit: 1,
	})
	switch {
	case err != nil:
		return "", err
	case len(since) > 0:
		return "built since as delivery " + since[0].ID, nil
	case d.Reason != string(mapping.ReasonMissed):
		return "", nil
	}
	missed, err := a.Store.MissedOf(ctx, d.Source, d.Repository)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(missed, func(m *store.MissedRef) bool { return m.Delivery == d.ID && !m.Built }) {
		return "not missed any more: its branch or tag has moved on, or is gone", nil
	}
	return "", nil
}

// toReplayFilter is the filter of deliveries to replay, and a place in their list.
type toReplayFilter struct {
	store.DeliveryFilter

	page  int
	after int64  // when the last delivery of the page before was received, in microseconds
	last  string // its id
}

// deliveryReplayFilter reads the filter, which must not be empty.
func deliveryReplayFilter(c echo.Context, page int) (f toReplayFilter, err error) {
	given, err := deliveryParameters(&f.DeliveryFilter).read(c.Request())
	if err != nil {
		return f, err
	}
	cursor := f.After
	f.page, f.After, f.Limit, f.NotReplayed = f.Limit, "", store.MaxPage, true
	if f.page == 0 {
		f.page = page
	}
	given.Del("limit")
	given.Del("after")
	switch {
	case len(given) == 0:
		return f, fail(http.StatusBadRequest, "give at least one filter: outcome=ignored is for all that built nothing")
	case f.Outcome == "":
		f.Outcome = string(store.Ignored)
	case f.Outcome != string(store.Ignored) && f.Outcome != string(store.Accepted):
		return f, fail(http.StatusBadRequest, "outcome: a delivery that is %s is not replayed; ignored and accepted ones are", f.Outcome)
	}
	// Replays are deliveries too: those that come meanwhile are on no page.
	until := time.Now()
	if cursor != "" {
		var high int64
		if n, err := fmt.Sscanf(cursor, "%d-%d-%s", &high, &f.after, &f.last); err != nil || n != 3 {
			return f, storeError("", "", store.ErrFilter)
		}
		until = time.UnixMicro(high)
	}
	if f.Until.IsZero() || f.Until.After(until) {
		f.Until = until
	}
	return f, nil
}

// cursor is the cursor of what comes behind a page.
func (f *toReplayFilter) cursor(page []*store.Delivery) string {
	if len(page) > 0 {
		last := page[len(page)-1]
		f.after, f.last = last.ReceivedAt.UnixMicro(), last.ID
	}
	return fmt.Sprintf("%d-%d-%s", f.Until.UnixMicro(), f.after, f.last)
}

// toReplay gives the deliveries that match and were not replayed, the oldest first, from the
// place of the filter on, and the first page of them. A replay that built nothing is one of
// them itself.
func (a *API) toReplay(ctx context.Context, f *toReplayFilter) (found, page []*store.Delivery, err error) {
	for query := f.DeliveryFilter; ; {
		some, next, err := a.Store.Deliveries(ctx, query)
		if err != nil {
			return nil, nil, storeError("delivery", "", err)
		}
		if found = append(found, some...); len(found) > maxReplayed {
			return nil, nil, fail(http.StatusBadRequest, "more than %d deliveries match: give more filters, such as since", maxReplayed)
		}
		if query.After = next; next == "" {
			break
		}
	}
	slices.SortFunc(found, func(x, y *store.Delivery) int { return byReceived(x, y.ReceivedAt.UnixMicro(), y.ID) })
	first, has := slices.BinarySearchFunc(found, f, func(d *store.Delivery, f *toReplayFilter) int { return byReceived(d, f.after, f.last) })
	if has {
		first++
	}
	found = found[first:]
	return found, found[:min(f.page, len(found))], nil
}

// byReceived compares a delivery with another by the times when they came.
func byReceived(d *store.Delivery, at int64, id string) int {
	return cmp.Or(cmp.Compare(d.ReceivedAt.UnixMicro(), at), cmp.Compare(d.ID, id))
}
