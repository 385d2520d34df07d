package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// exportPath takes longer than other requests.
const exportPath = Prefix + "/deliveries/export"

// exportPage is how many deliveries of an export are read before they are sent.
const exportPage = 200

// exportDeliveries sends a line for each delivery that matches, see [mapping.Recorded], the oldest
// first, and at the end a [mapping.RecordedEnd]: without it the export is not complete. An empty
// line says that the work goes on. Between pages nothing is open in the database.
func (a *API) exportDeliveries(c echo.Context) error {
	var f store.DeliveryFilter
	accepts := deliveryParameters(&f)
	delete(accepts, "limit")
	delete(accepts, "after")
	accepts["outcome"] = oneOf(&f.Outcome, store.Accepted, store.Ignored, store.Duplicate)
	if _, err := accepts.read(c.Request()); err != nil {
		return err
	}
	ctx := c.Request().Context()
	f.Limit = exportPage
	page, next, err := a.exportedPage(ctx, f)
	if err != nil {
		return storeError("delivery", "", err)
	}
	began, end := time.Now(), mapping.RecordedEnd{End: true}
	c.Response().Header().Set(echo.HeaderContentType, "application/x-ndjson")
	c.Response().WriteHeader(http.StatusOK)
	w := &patientWriter{w: c.Response(), control: http.NewResponseController(c.Response())}
	out := bufio.NewWriterSize(w, 1<<16)
	for err == nil {
		for i := 0; i < len(page) && err == nil; i++ {
			var sent bool
			if sent, err = a.exportOne(ctx, out, page[i].ID); sent {
				end.Deliveries++
			}
		}
		switch {
		case err != nil:
		case next == "":
			err = json.NewEncoder(out).Encode(end)
		case len(page) == 0:
			err = out.WriteByte('\n')
		}
		w.left = 0 // the page may have taken long
		if err = errors.Join(err, out.Flush(), w.control.Flush()); err != nil || next == "" {
			break
		}
		f.After = next
		page, next, err = a.exportedPage(ctx, f)
	}
	attrs := []slog.Attr{
		slog.String("actor", by(c, "").Actor), slog.String("client", c.Request().RemoteAddr), slog.Int64("deliveries", end.Deliveries),
		slog.Float64("seconds", time.Since(began).Seconds()),
	}
	if err != nil { // the answer has begun: the client misses its end
		a.Logger.LogAttrs(ctx, slog.LevelWarn, "an export of deliveries was cut short", append(attrs, slog.String("error", err.Error()))...)
		return nil
	}
	a.Logger.LogAttrs(ctx, slog.LevelInfo, "deliveries were exported", attrs...)
	return nil
}

// exportedPage lists the deliveries of a page.
func (a *API) exportedPage(ctx context.Context, f store.DeliveryFilter) (page []*store.Delivery, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return a.Store.DeliveriesOldestFirst(ctx, f)
}

// exportOne writes the line of a delivery: none if it was deleted in the meantime.
func (a *API) exportOne(ctx context.Context, out io.Writer, id string) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := a.Store.Delivery(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	line, err := a.exported(d)
	if err != nil {
		return false, fmt.Errorf("delivery %s: %w", id, err)
	}
	_, err = out.Write(append(line, '\n'))
	return err == nil, err
}

// exported is the line of a delivery.
func (a *API) exported(d *store.Delivery) ([]byte, error) {
	r := a.Deliveries.Record(d.Delivery)
	r.Outcome = string(d.Outcome)
	if d.Unreadable != "" {
		r.Error = d.Unreadable
	}
	if r.Error != "" {
		r.Events = []mapping.RecordedEvent{}
	}
	line, err := json.Marshal(&r)
	if len(line) > mapping.MaxRecorded {
		r.Events, r.Error = []mapping.RecordedEvent{}, fmt.Sprintf("its events have more than %d MiB", mapping.MaxRecorded>>20)
		line, err = json.Marshal(&r)
	}
	return line, err
}
