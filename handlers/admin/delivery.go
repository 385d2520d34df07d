package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Delivery is a delivery as a list shows it.
type Delivery struct {
	ID         string         `json:"id"`
	ReceivedAt time.Time      `json:"received_at"`
	Source     string         `json:"source"`
	Provider   string         `json:"provider"`
	HostID     string         `json:"host_id,omitempty"` // the id that the host gave it
	Event      string         `json:"event"`
	Repository string         `json:"repository"`
	Ref        string         `json:"ref"`              // of its first event
	Commit     string         `json:"commit,omitempty"` // of the same
	Pusher     string         `json:"pusher,omitempty"` // of the same
	Title      string         `json:"title,omitempty"`  // of the same: the first line of the message
	Outcome    store.Outcome  `json:"outcome"`
	Origin     mapping.Origin `json:"origin,omitempty"`     // manual or catch_up; unset if its code host sent it
	Reason     string         `json:"reason,omitempty"`     // ignored
	Of         string         `json:"of,omitempty"`         // duplicate: the delivery whose builds were committed
	ReplayOf   string         `json:"replay_of,omitempty"`  // the delivery that this one replays
	Actor      string         `json:"actor,omitempty"`      // the name of the token of who asked for it, if a person did
	Why        string         `json:"why,omitempty"`        // as they wrote it
	Status     int            `json:"status,omitempty"`     // rejected: of HTTP
	Detail     string         `json:"detail,omitempty"`     // rejected: why, as the log has it
	Client     string         `json:"client,omitempty"`     // rejected: the address of who called
	UserAgent  string         `json:"user_agent,omitempty"` // rejected
	Error      string         `json:"error,omitempty"`      // what is unreadable in its row
}

// DeliveryDetail is a delivery with all that is stored of it.
type DeliveryDetail struct {
	Delivery

	ReplayedAs string `json:"replayed_as,omitempty"` // the newest delivery that replays it

	Rules  []mapping.Verdict `json:"rules,omitempty"` // ignored, no_match
	Builds []Build           `json:"builds"`
	Header map[string]string `json:"header"` // those that name the event
	Body   json.RawMessage   `json:"body"`   // without secrets; null if it is not kept any more
}

// DeliveryPage is a page of deliveries, the newest first.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"` // for after; "" on the last page
}

func newDelivery(d *store.Delivery) Delivery {
	view := Delivery{
		Pusher: d.Pusher, Title: d.Title,
		ID: d.ID, ReceivedAt: d.ReceivedAt, Source: d.Source, Provider: d.Provider, HostID: d.HostID, Event: d.Event,
		Repository: d.Repository, Ref: d.Ref, Commit: d.Commit, Outcome: d.Outcome, Reason: d.Reason, ReplayOf: d.ReplayOf,
		Actor: d.By.Actor, Why: d.By.Why, Error: d.Unreadable,
	}
	if d.Origin != mapping.OriginWebhook {
		view.Origin = d.Origin
	}
	if d.Outcome == store.Duplicate {
		view.Reason, view.Of = "", d.Reason
	}
	return view
}

func (a *API) listDeliveries(c echo.Context) error { return list(c, a.ListDeliveries) }

// ListDeliveries gives the deliveries that a query of GET /api/v1/deliveries selects.
func (a *API) ListDeliveries(ctx context.Context, query url.Values) (page DeliveryPage, err error) {
	var f store.DeliveryFilter
	if err := deliveryParameters(&f).take(query); err != nil {
		return page, err
	}
	if f.Outcome == string(rejected) {
		return a.listRejected(&f)
	}
	deliveries, next, err := a.Store.Deliveries(ctx, f)
	if err != nil {
		return page, storeError("delivery", "", err)
	}
	return DeliveryPage{Deliveries: shown(deliveries, newDelivery), Next: next}, nil
}

func (a *API) showDelivery(c echo.Context) error { return show(c, a.ShowDelivery) }

// ShowDelivery gives the delivery with an id, which may be shortened.
func (a *API) ShowDelivery(ctx context.Context, id string) (detail DeliveryDetail, err error) {
	d, detail, err := a.detail(ctx, id)
	detail.Body = raw(d.Body)
	return detail, err
}

// detail reads a delivery, and gives all of it that is shown but for the body. A rejected one has none.
func (a *API) detail(ctx context.Context, given string) (d mapping.Delivery, detail DeliveryDetail, err error) {
	id, err := a.fullID(ctx, true, given)
	if err != nil {
		return d, detail, err
	}
	if r := a.findRejected(id); r != nil {
		return d, DeliveryDetail{Delivery: newRejected(r), Builds: []Build{}}, nil
	}
	stored, err := a.delivery(ctx, id)
	if err != nil {
		return d, detail, err
	}
	builds, err := a.Store.BuildsOf(ctx, stored.ID)
	if err != nil {
		return d, detail, storeError("delivery", stored.ID, err)
	}
	detail = DeliveryDetail{Delivery: newDelivery(stored), Builds: shown(builds, newBuild), Header: stored.Header}
	detail.ReplayedAs = stored.LastReplay
	if len(stored.Verdicts) > 0 {
		if err := json.Unmarshal(stored.Verdicts, &detail.Rules); err != nil {
			detail.Error = strings.TrimPrefix(detail.Error+"; verdicts cannot be read: "+err.Error(), "; ")
		}
	}
	return stored.Delivery, detail, nil
}

// pageRules bounds the rules that say what they ask on a page, which everybody may look at: 20,000 take seconds.
const pageRules = 200

// Inspection is a delivery with all that is stored of it, and what the rules of now make of it. Body of
// the detail is not set.
type Inspection struct {
	DeliveryDetail

	Stored []byte             // the body as it is stored; nil if it is not kept any more, or never was
	Now    *handlers.Decision // nil if nobody asked for it, or the delivery was rejected
	Past   *handlers.Decision // the same by the rules of when it came; nil also if these are not known
}

// InspectDelivery gives the delivery with an id, which may be shortened. decide says, for the size of
// its body in bytes, whether the rules are asked: that takes some milliseconds for each MB.
func (a *API) InspectDelivery(ctx context.Context, id string, decide func(size int) bool) (i Inspection, err error) {
	d, detail, err := a.detail(ctx, id)
	if err != nil {
		return i, err
	}
	i = Inspection{DeliveryDetail: detail, Stored: d.Body}
	if detail.Outcome != rejected && decide(len(d.Body)) {
		now, then := a.Deliveries.ExplainThen(d, pageRules)
		i.Now, i.Past = &now, then
	}
	return i, nil
}

// delivery reads the delivery with an id, which may be shortened.
func (a *API) delivery(ctx context.Context, given string) (*store.Delivery, error) {
	id, err := a.wholeID(ctx, true, given)
	if err != nil {
		return nil, err
	}
	d, err := a.Store.Delivery(ctx, id)
	if err != nil {
		return nil, a.deliveryError(ctx, id, err)
	}
	return d, nil
}

// deliveryError is storeError for a delivery that was asked for by its id.
func (a *API) deliveryError(ctx context.Context, id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		if r := a.findRejected(id); r != nil {
			return seeing(fail(http.StatusConflict, "the delivery %s was rejected (%d %s): it has no body: have the code host send it again",
				id, r.Status, r.Reason), "delivery", id)
		}
		if b, err := a.Store.Build(ctx, id); err == nil {
			return seeing(seeing(fail(http.StatusNotFound, "no delivery has the id %s: it is the id of a build, of the delivery %s",
				id, b.Delivery), "build", id), "delivery", b.Delivery)
		}
	}
	return storeError("delivery", id, err)
}

// replayDelivery answers as the webhook would.
func (a *API) replayDelivery(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	answer, err := a.ReplayDelivery(c.Request().Context(), c.Param("id"), by(c, why))
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, answer.Status, answer)
}

// ReplayDelivery decides a delivery once more, by the rules of now, and gives the answer that the
// webhook would.
func (a *API) ReplayDelivery(ctx context.Context, id string, by mapping.By) (answer handlers.Answer, err error) {
	return a.replayKnown(ctx, id, nil, by)
}

// ReplayDeliveryOnce is ReplayDelivery for somebody who knows of one newest replay of the delivery, ""
// for none. If there is another one now, nothing is done: the outcome is duplicate, of that replay.
func (a *API) ReplayDeliveryOnce(ctx context.Context, id, newest string, by mapping.By) (answer handlers.Answer, err error) {
	return a.replayKnown(ctx, id, &newest, by)
}

func (a *API) replayKnown(ctx context.Context, id string, newest *string, by mapping.By) (answer handlers.Answer, err error) {
	d, err := a.delivery(ctx, id)
	if err != nil {
		return answer, err
	}
	if err := checkReason(by.Why); err != nil {
		return answer, err
	}
	if newest != nil && *newest != d.LastReplay {
		return handlers.Answer{Status: http.StatusConflict, Outcome: string(store.Duplicate), Of: d.LastReplay, ReplayOf: d.ID}, nil
	}
	answer, refusal := a.replayOf(ctx, d, by)
	if refusal != nil {
		return answer, refusal
	}
	return answer, nil
}

// replayOf decides a delivery again, and has it kept.
func (a *API) replayOf(ctx context.Context, d *store.Delivery, by mapping.By) (handlers.Answer, *handlers.Refusal) {
	if d.Unreadable != "" {
		return handlers.Answer{}, fail(http.StatusConflict, "delivery %s cannot be replayed: %s", d.ID, d.Unreadable)
	}
	d.DuplicateKey = "replay:" + d.ID + ":" + d.LastReplay // the same for two who ask at the same time
	answer := a.Deliveries.Replay(ctx, d.Delivery, by)
	switch {
	case answer.Status < http.StatusBadRequest:
		return answer, nil
	case answer.Status == http.StatusBadRequest:
		answer.Status = http.StatusConflict // the request is not at fault, the delivery is
	}
	return answer, fail(answer.Status, "%s", cmp.Or(answer.Detail, http.StatusText(answer.Status)))
}

// Explanation is what was decided about a delivery when it came, and what the rules of now
// would make of it.
type Explanation struct {
	Delivery

	Rules  []mapping.Verdict `json:"rules,omitempty"` // then; ignored, no_match
	Builds []Build           `json:"builds"`          // then, and of replays of the builds
	Now    handlers.Decision `json:"now"`

	Skipped string `json:"skipped,omitempty"` // in a count: why a replay of many leaves it out
}

func (a *API) explainDelivery(c echo.Context) error { return show(c, a.ExplainDelivery) }

// ExplainDelivery says what was decided about a delivery, and what the rules of now would make of it.
func (a *API) ExplainDelivery(ctx context.Context, id string) (e Explanation, err error) {
	d, err := a.delivery(ctx, id)
	if err != nil {
		return e, err
	}
	builds, err := a.Store.BuildsOf(ctx, d.ID)
	if err != nil {
		return e, storeError("delivery", d.ID, err)
	}
	e = Explanation{Delivery: newDelivery(d), Builds: shown(builds, newBuild), Now: a.Deliveries.Explain(d.Delivery, math.MaxInt)}
	if len(d.Verdicts) > 0 && json.Unmarshal(d.Verdicts, &e.Rules) != nil {
		e.Rules = nil // "deliveries show" says that they cannot be read
	}
	return e, nil
}

// shown is a list as the API shows it, never null.
func shown[S, V any](stored []S, view func(S) V) []V {
	list := make([]V, len(stored))
	for i, s := range stored {
		list[i] = view(s)
	}
	return list
}

// raw is stored JSON as it is: null for nothing, and a string for text that is not JSON.
func raw(stored []byte) json.RawMessage {
	switch {
	case len(stored) == 0:
		return nil
	case json.Valid(stored):
		return stored
	}
	text, _ := json.Marshal(string(stored)) // no error: invalid UTF-8 is replaced
	return text
}
