package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// exported asks for an export.
func exported(t *testing.T, a http.Handler, query string) string {
	t.Helper()
	server := httptest.NewServer(a) // whose answers can be flushed
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+admin.Prefix+"/deliveries/export"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("got %d %v %s, %v", res.StatusCode, res.Header, text, err)
	}
	return string(text)
}

// exportedLines gives the ids of the deliveries of an export, and its end.
func exportedLines(t *testing.T, a http.Handler, query string) (ids []string, end *mapping.RecordedEnd) {
	t.Helper()
	for line := range strings.Lines(exported(t, a, query)) {
		d, last, err := mapping.ParseRecorded([]byte(line))
		switch {
		case err != nil:
			t.Fatalf("%v: %s", err, line)
		case end != nil:
			t.Errorf("after the end there is %s", line)
		case last != nil:
			end = last
		default:
			ids = append(ids, d.ID)
		}
	}
	return ids, end
}

func TestExport(t *testing.T) {
	a := writable(t)
	var all []string
	for i := range 450 { // more than two pages
		d, _ := a.accept(ref(fmt.Sprint("refs/heads/", i)))
		all = append(all, d.ID)
	}
	ids, end := exportedLines(t, a, "")
	if diff := cmp.Diff(all, ids); diff != "" || end == nil || end.Deliveries != 450 {
		t.Errorf("end %+v: %s", end, diff)
	}
	if ids, end = exportedLines(t, a, "?ref=refs/heads/7&repository=acme/shop"); len(ids) != 1 || ids[0] != all[7] || end == nil {
		t.Errorf("by a filter: %v, %+v", ids, end)
	}
	if ids, end = exportedLines(t, a, "?source=none"); len(ids) != 0 || end == nil {
		t.Errorf("of none: %v, %+v", ids, end)
	}
	if log := a.log.String(); !strings.Contains(log, `msg="deliveries were exported" actor="" client=`) {
		t.Errorf("it is not logged: %s", log)
	}
	for query, want := range map[string]string{
		"?limit=10":         `"limit": no such parameter`,
		"?outcome=rejected": `"rejected" is none of accepted, ignored, duplicate`,
		"?since=yesterday":  "is not a time",
	} {
		if got := a.refused("GET", "/deliveries/export"+query, http.StatusBadRequest); !strings.Contains(got, want) {
			t.Errorf("%s says %q", query, got)
		}
	}
}

func TestExportSaysWhatIsNotKnown(t *testing.T) {
	a := writable(t)
	a.accept(func(d *store.Delivery, _ *store.Build) { d.Source = "gone" })
	a.message = strings.Repeat("x", mapping.MaxRecorded)
	a.accept()
	got := exported(t, a, "")
	lines := strings.Split(got, "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"events":[],"error":"there is no such source"`) ||
		!strings.Contains(lines[1], `"events":[],"error":"its events have more than 16 MiB"`) || lines[2] != `{"end":true,"deliveries":2}` {
		t.Errorf("got %.1000s", got)
	}
}

// failing is a store that breaks after the first page.
type failing struct{ *store.Store }

func (s failing) DeliveriesOldestFirst(ctx context.Context, f store.DeliveryFilter) ([]*store.Delivery, string, error) {
	if f.After != "" {
		return nil, "", errors.New("the disk is gone")
	}
	page, _, err := s.Store.DeliveriesOldestFirst(ctx, f)
	return page, "1-1", err
}

// What breaks in the middle has no end.
func TestExportThatIsCutShort(t *testing.T) {
	a := writable(t)
	a.accept()
	var err error
	a.Handler, err = admin.New(admin.Options{
		Store: failing{a.store}, Builds: builds{a}, Deliveries: deliveries{a}, Access: admin.Access{Loopback: true}, Logger: testLogger(&a.log),
	})
	if err != nil {
		t.Fatal(err)
	}
	if ids, end := exportedLines(t, a, ""); len(ids) != 1 || end != nil {
		t.Errorf("%v, %+v: want one delivery, and no end", ids, end)
	}
	if log := a.log.String(); !strings.Contains(log, "an export of deliveries was cut short") || !strings.Contains(log, "the disk is gone") {
		t.Errorf("it is not logged: %s", log)
	}
}
