package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Delivery is a delivery as a list shows it.
type Delivery struct {
	ID         string        `json:"id"`
	ReceivedAt time.Time     `json:"received_at"`
	Source     string        `json:"source"`
	Provider   string        `json:"provider"`
	HostID     string        `json:"host_id,omitempty"` // the host's own id
	Event      string        `json:"event"`
	Repository string        `json:"repository"`
	Ref        string        `json:"ref"`              // of its first event
	Commit     string        `json:"commit,omitempty"` // of the same
	Outcome    store.Outcome `json:"outcome"`
	Reason     string        `json:"reason,omitempty"`    // ignored
	Of         string        `json:"of,omitempty"`        // duplicate: the delivery whose builds were committed
	ReplayOf   string        `json:"replay_of,omitempty"` // the delivery that was decided anew
	Error      string        `json:"error,omitempty"`     // what of its row cannot be read
}

// DeliveryDetail is all there is of one.
type DeliveryDetail struct {
	Delivery

	Rules  []mapping.Verdict `json:"rules,omitempty"` // ignored, no_match
	Builds []Build           `json:"builds"`
	Header map[string]string `json:"header"` // what names the event
	Body   json.RawMessage   `json:"body"`   // without secrets; null when it is forgotten
}

// DeliveryPage is a page of deliveries, the newest first.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"` // for after; "" on the last page
}

func newDelivery(d *store.Delivery) Delivery {
	shown := Delivery{
		ID: d.ID, ReceivedAt: d.ReceivedAt, Source: d.Source, Provider: d.Provider, HostID: d.HostID, Event: d.Event,
		Repository: d.Repository, Ref: d.Ref, Commit: d.Commit, Outcome: d.Outcome, Reason: d.Reason, ReplayOf: d.ReplayOf, Error: d.Unreadable,
	}
	if d.Outcome == store.Duplicate {
		shown.Reason, shown.Of = "", d.Reason
	}
	return shown
}

func (a *api) listDeliveries(c echo.Context) error {
	var f store.DeliveryFilter
	if _, err := deliveryParameters(&f).read(c.Request()); err != nil {
		return err
	}
	deliveries, next, err := a.o.Store.Deliveries(c.Request().Context(), f)
	if err != nil {
		return stored("delivery", "", err)
	}
	page := DeliveryPage{Deliveries: make([]Delivery, len(deliveries)), Next: next}
	for i, d := range deliveries {
		page.Deliveries[i] = newDelivery(d)
	}
	return send(c, http.StatusOK, page)
}

func (a *api) showDelivery(c echo.Context) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	builds, err := a.o.Store.BuildsOf(c.Request().Context(), d.ID)
	if err != nil {
		return stored("delivery", d.ID, err)
	}
	detail := DeliveryDetail{Delivery: newDelivery(d), Builds: make([]Build, len(builds)), Header: d.Header, Body: raw(d.Body)}
	for i, b := range builds {
		detail.Builds[i] = newBuild(b)
	}
	if len(d.Verdicts) > 0 {
		if err := json.Unmarshal(d.Verdicts, &detail.Rules); err != nil {
			detail.Error = strings.TrimPrefix(detail.Error+"; verdicts cannot be read: "+err.Error(), "; ")
		}
	}
	return send(c, http.StatusOK, detail)
}

// delivery reads the delivery that the path names. No such path has parameters.
func (a *api) delivery(c echo.Context) (*store.Delivery, error) {
	id, err := id(c, "delivery")
	if err != nil {
		return nil, err
	}
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return nil, err
	}
	d, err := a.o.Store.Delivery(c.Request().Context(), id)
	if err != nil {
		return nil, stored("delivery", id, err)
	}
	return d, nil
}

// replayDelivery answers as the webhook does.
func (a *api) replayDelivery(c echo.Context) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	if d.Unreadable != "" {
		return fail(http.StatusConflict, "delivery %s cannot be decided: %s", d.ID, d.Unreadable)
	}
	replayed := a.o.Deliveries.Replay(c.Request().Context(), mapping.Delivery{
		ID: d.ID, Source: d.Source, Provider: d.Provider, HostID: d.HostID, Event: d.Event, ReceivedAt: d.ReceivedAt,
		Header: d.Header, Body: d.Body, ReplayOf: d.ReplayOf,
		DuplicateKey: "replay:" + d.ID + ":" + d.LastReplay, // of two who ask at the same time
	})
	if replayed.Status >= http.StatusBadRequest {
		text := replayed.Detail
		if text == "" {
			text = http.StatusText(replayed.Status)
		}
		if replayed.Status == http.StatusBadRequest {
			replayed.Status = http.StatusConflict // whoever asks did nothing wrong
		}
		return fail(replayed.Status, "%s", text)
	}
	return send(c, replayed.Status, replayed)
}

// raw is stored JSON as it is; null for nothing, a string for what is no JSON.
func raw(stored []byte) json.RawMessage {
	switch {
	case len(stored) == 0:
		return nil
	case json.Valid(stored):
		return stored
	}
	text, err := json.Marshal(string(stored))
	if err != nil { // cannot be: invalid UTF-8 is replaced
		return nil
	}
	return text
}
