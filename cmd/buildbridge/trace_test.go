package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/cmd/internal/telemetry/telemetrytest"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store/postgrestest"
)

const (
	deliverySpan = "POST /webhooks/{source}"
	theirTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan    = "00f067aa0ba902b7"
)

// traced are the variables that send the traces of the bridge to a collector at once.
func (w *world) traced() *telemetrytest.Collector {
	c := telemetrytest.New(w.t)
	w.more = append(w.more, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_BSP_SCHEDULE_DELAY=20")
	return c
}

// A push is one trace, from the delivery to the attempt that starts the build, even if the
// process was killed in between.
func TestTraceAcrossAKill(t *testing.T) {
	var postgres postgrestest.Server
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":   func(*testing.T) string { return "buildbridge.db" },
		"Postgres": func(t *testing.T) string { return postgres.Database(t) },
	} {
		t.Run(name, func(t *testing.T) { traceAcrossAKill(t, database(t)) })
	}
}

func traceAcrossAKill(t *testing.T, database string) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	c := w.traced()
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: http.StatusTooManyRequests, RetryAfter: 8, Times: 1}); err != nil {
		t.Fatal(err)
	}
	first := w.serve("--database", database)
	if status := first.push("0", "acme/shop", http.Header{"X-Hub-Signature-256": {"sha256=" + strings.Repeat("0", 64)}}); status != http.StatusUnauthorized {
		t.Errorf("a wrong signature gives %d", status)
	}
	if status := first.push("1", "acme/shop", http.Header{"Traceparent": {"00-" + theirTrace + "-" + theirSpan + "-01"}}); status != http.StatusAccepted {
		t.Fatalf("the delivery gives %d", status)
	}
	first.logged("build is not started yet")
	eventually(t, "the first attempt arrives at the collector", func() bool { return len(c.Spans("attempt")) == 1 && len(c.Spans(deliverySpan)) == 1 })
	delivered := exemplars(t, first, "buildbridge_delivery_duration_seconds_bucket")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.wait()

	second := w.serve("--database", database)
	started := second.logged("build started")
	eventually(t, "the second attempt arrives too", func() bool { return len(c.Spans("attempt")) == 2 })

	deliveries, commits, attempts, calls := c.Spans(deliverySpan), c.Spans("commit"), c.Spans("attempt"), c.Spans("run job")
	if len(deliveries) != 1 || len(commits) != 1 || len(calls) != 2 {
		t.Fatalf("want one delivery, one commit and two calls: %+v", c.Spans(""))
	}
	delivery, commit := deliveries[0], commits[0]
	if delivery.Kind != "server" || delivery.Parent != "" || delivery.Trace == theirTrace || delivery.Failed {
		t.Errorf("the delivery is no trace of its own: %+v", delivery)
	}
	if diff := cmp.Diff([]telemetrytest.Link{{Trace: theirTrace, ID: theirSpan}}, delivery.Links); diff != "" {
		t.Errorf("links of the delivery (-want +got):\n%s", diff)
	}
	if commit.Kind != "producer" || commit.Parent != delivery.ID || commit.Trace != delivery.Trace {
		t.Errorf("the commit is not the delivery's: %+v", commit)
	}
	for i, want := range []struct {
		outcome, status string
		failed          bool
	}{{"waiting", "429", true}, {"started", "200", false}} {
		a, call := attempts[i], calls[i]
		if a.Kind != "consumer" || a.Trace != delivery.Trace || a.Parent != commit.ID {
			t.Errorf("attempt %d does not belong to the commit: %+v", i+1, a)
		}
		if diff := cmp.Diff([]telemetrytest.Link{{Trace: commit.Trace, ID: commit.ID}}, a.Links); diff != "" {
			t.Errorf("links of attempt %d (-want +got):\n%s", i+1, diff)
		}
		if a.Attributes["outcome"] != want.outcome || a.Failed != want.failed || a.Attributes["delivery"] != delivery.Attributes["delivery"] || a.Attributes["rule"] != "cart" {
			t.Errorf("attempt %d: %+v, want %s", i+1, a, want.outcome)
		}
		if call.Kind != "client" || call.Parent != a.ID || call.Trace != a.Trace || call.Failed != want.failed ||
			call.Attributes["http.request.method"] != http.MethodPost || call.Attributes["http.response.status_code"] != want.status {
			t.Errorf("call %d: %+v, want status %s", i+1, call, want.status)
		}
	}
	if attempts[0].Resource["service.instance.id"] == attempts[1].Resource["service.instance.id"] || attempts[1].Resource["service.name"] != "buildbridge" {
		t.Errorf("resources: %v and %v", attempts[0].Resource, attempts[1].Resource)
	}

	for what, ids := range map[string][4]any{
		"the delivery's line": {first.logged("delivery")["trace_id"], first.logged("delivery")["span_id"], nil, nil}, // the rejected one's
		"the attempt's line":  {started["trace_id"], started["span_id"], delivery.Trace, attempts[1].ID},
	} {
		if ids[0] != ids[2] || ids[1] != ids[3] {
			t.Errorf("%s has trace %v and span %v, want %v and %v", what, ids[0], ids[1], ids[2], ids[3])
		}
	}
	if line := `"trace_id":"` + delivery.Trace + `","span_id":"` + delivery.ID + `"`; !strings.Contains(first.output(), line) {
		t.Errorf("no line of the delivery has %s", line)
	}
	if !slices.Contains(delivered, delivery.Trace) {
		t.Errorf("exemplars of the delivery are %v, want %s", delivered, delivery.Trace)
	}
	for _, histogram := range []string{"buildbridge_runjob_duration_seconds_bucket", "buildbridge_build_start_latency_seconds_bucket"} {
		if got := exemplars(t, second, histogram); !slices.Contains(got, delivery.Trace) {
			t.Errorf("exemplars of %s are %v, want %s", histogram, got, delivery.Trace)
		}
	}
	if database == "buildbridge.db" {
		w.prints(second, []string{"builds", "show", attempts[1].Attributes["build"]}, delivery.Trace)
	}

	// An answer that is lost is searched for.
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if status := second.push("2", "acme/shop"); status != http.StatusAccepted {
		t.Fatalf("the delivery gives %d", status)
	}
	eventually(t, "the search arrives", func() bool {
		found := c.Spans("reconcile")
		return len(found) > 0 && found[len(found)-1].Attributes["outcome"] == "started"
	})
	second.term()
	lost, search := c.Spans("attempt")[2], c.Spans("reconcile")
	found := search[len(search)-1]
	if lost.Attributes["outcome"] != "unknown" || !lost.Failed || found.Parent != lost.Parent || found.Trace != lost.Trace || found.Failed || found.Attributes["build_number"] != "2" {
		t.Errorf("the search does not follow the attempt:\n%+v\n%+v", lost, found)
	}
	if !slices.ContainsFunc(c.Spans("list records"), func(s telemetrytest.Span) bool { return s.Parent == found.ID }) {
		t.Errorf("no request is the search's: %+v", c.Spans("list records"))
	}
	for _, text := range []string{secret, "Count twice", "E2E_SK", "sha256=", "SDK-HMAC"} {
		if bytes.Contains(c.Raw(), []byte(text)) {
			t.Errorf("the traces have %q", text)
		}
	}
}

// exemplars returns the trace ids of a series. It checks that the answer has the same names
// as without exemplars.
func exemplars(t *testing.T, b *bridge, series string) (traces []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	_, open := do(t, req)
	_, classic := get(t, b.admin+"/metrics")
	if !strings.HasSuffix(open, "# EOF\n") || strings.Contains(open, "_created") || strings.Contains(classic, "trace_id") || strings.Contains(classic, "# EOF") {
		t.Errorf("not OpenMetrics, or not the text of before:\n%.2000s", open)
	}
	if diff := cmp.Diff(names(classic), names(open)); diff != "" {
		t.Errorf("other names in OpenMetrics (-classic +open):\n%s", diff)
	}
	for line := range strings.Lines(open) {
		if m := regexp.MustCompile(`# \{trace_id="([0-9a-f]{32})"\}`).FindStringSubmatch(line); m != nil && strings.HasPrefix(line, series) {
			traces = append(traces, m[1])
		}
	}
	return traces
}

// names are those of the samples in the text of /metrics.
func names(text string) []string {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// A collector that accepts connections and never answers delays neither deliveries nor the
// end, and does not flood the log.
func TestCollectorThatIsSilent(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() {
		close(release)
		silent.Close()
	})
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	w.more = []string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + silent.URL, "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_BSP_MAX_QUEUE_SIZE=4",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2",
	}
	b := w.serve("--grace", "10s")
	began := time.Now()
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		if status := b.push(id, "acme/shop"); status != http.StatusAccepted {
			t.Fatalf("the delivery gives %d", status)
		}
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("8 deliveries took %s", took)
	}
	b.logged("build started")
	began = time.Now()
	b.term()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the end took %s", took)
	}
	b.logged("the last traces were not sent in time, and are lost")
	for line := range strings.Lines(b.output()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of the log: %s", line)
		}
	}
}

// Without a collector there are no traces anywhere.
func TestNoTracesUnlessAskedFor(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	w.more = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="}
	b := w.serve()
	b.accept()
	b.logged("build started")
	if text := b.output(); strings.Contains(text, "trace_id") {
		t.Errorf("the log has traces:\n%s", text)
	}
	if got := exemplars(t, b, ""); len(got) > 0 {
		t.Errorf("there are exemplars: %v", got)
	}
	b.term()
}

// From a delivery that built nothing to the reason.
func TestLogLevelWhileItRuns(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	w.prints(b, []string{"log-level"}, "info")
	w.prints(b, []string{"log-level", "debug"}, "debug")
	w.fails(b, 2, []string{"log-level", "loud"}, `"loud" is none of debug, info, warn, error`)
	w.fails(b, 1, []string{"log-level", "info", "--database", "other.db"}, "needs a token")
	b.logged("log level changed")
	b.accept()
	b.logged("request to the service")
	b.logged("build started")
	w.write("rules.yaml", strings.Replace(w.good, "push: {}", "push: {branches: [release]}", 1))
	b.logged("rules reloaded")
	if status := b.push("2", "acme/shop"); status != http.StatusOK {
		t.Errorf("a push that no rule matches gives %d", status)
	}
	if line := b.logged("rule does not match"); line["rule"] != "cart" || !strings.Contains(line["reason"].(string), "push.branches") {
		t.Errorf("it says %v", line)
	}
	if status := b.push("3", "acme/shop", http.Header{"X-Hub-Signature-256": nil, "X-Hub-Signature": {"sha1=s3cr3t"}}); status != http.StatusUnauthorized {
		t.Errorf("no signature gives %d", status)
	}
	if headers, _ := b.logged("delivery is rejected")["headers"].(string); !slices.Contains(strings.Fields(headers), "X-Hub-Signature") || strings.Contains(b.output(), "s3cr3t") {
		t.Errorf("it had the headers %q", headers)
	}
	w.prints(b, []string{"log-level", "error", "--json"}, `"level": "error"`)
	b.term()
	if strings.Contains(b.output(), `"msg":"stopped"`) {
		t.Error("it logs at info after the level was set to error")
	}
}
