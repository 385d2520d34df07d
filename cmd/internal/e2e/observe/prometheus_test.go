package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/cmd/internal/e2e/program"
)

// prometheus is a Prometheus that scrapes one process.
type prometheus struct {
	url string
}

// startPrometheus starts one on a free port, with a folder of rule files, and
// returns after the first scrape.
func startPrometheus(t *testing.T, binary, alerts, scraped string, every time.Duration) *prometheus {
	t.Helper()
	dir := t.TempDir()
	alerts, err := filepath.Abs(alerts)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: ['%[2]s/*.yaml']
scrape_configs:
  - job_name: buildbridge
    static_configs: [{targets: ['%[3]s']}]
`, every, alerts, strings.TrimPrefix(scraped, "http://"))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	address := program.HoldPort(t)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no orphans of a test that is killed itself
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("Prometheus wrote:\n%s", text)
		}
	})
	p := &prometheus{url: "http://" + address}
	p.await(t, "up == 1")
	return p
}

// await waits until an expression has a value.
func (p *prometheus) await(t *testing.T, expr string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got, err := p.query(t.Context(), expr, span{to: time.Now()}, true)
		if err == nil && len(got) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus does not see %s: %v", expr, err)
		}
	}
}

// fetch gets a page; form, if any, is posted.
func (p *prometheus) fetch(ctx context.Context, path string, form url.Values) ([]byte, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	return text, err
}

// ask calls the API.
func (p *prometheus) ask(ctx context.Context, path string, form url.Values, data any) error {
	text, err := p.fetch(ctx, "/api/v1/"+path, form)
	if err != nil {
		return err
	}
	answer := struct {
		Data     any
		Warnings []string
		Infos    []string // such as a rate of what is no counter
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if remarks := append(answer.Warnings, answer.Infos...); len(remarks) > 0 {
		return errors.New(strings.Join(remarks, "; "))
	}
	return nil
}

// series is one line of a graph, or one row of a table.
type series struct {
	Metric map[string]string
	Points []point
}

type point struct {
	at    float64 // seconds since 1970
	value float64
}

// UnmarshalJSON reads [1700000000.5,"3"].
func (p *point) UnmarshalJSON(b []byte) (err error) {
	var value string
	if err := json.Unmarshal(b, &[]any{&p.at, &value}); err != nil {
		return err
	}
	p.value, err = strconv.ParseFloat(value, 64)
	return err
}

// span is what a dashboard shows: its time range and its resolution.
type span struct {
	from, to time.Time
	step     time.Duration
	scrape   time.Duration
}

// query asks for the values over the span, or for those at its end.
func (p *prometheus) query(ctx context.Context, expr string, s span, instant bool) ([]series, error) {
	var answer struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  point
			Values []point
		}
	}
	form, path := url.Values{"query": {expr}}, "query_range"
	if instant {
		path = "query"
		form.Set("time", seconds(s.to))
	} else {
		form.Set("start", seconds(s.from))
		form.Set("end", seconds(s.to))
		form.Set("step", strconv.FormatFloat(s.step.Seconds(), 'f', 3, 64))
	}
	if err := p.ask(ctx, path, form, &answer); err != nil {
		return nil, err
	}
	var list []series
	for _, r := range answer.Result {
		if instant {
			r.Values = []point{r.Value}
		}
		list = append(list, series{r.Metric, r.Values})
	}
	return list, nil
}

// exemplars asks for those of an expression. There are none while nothing is traced.
func (p *prometheus) exemplars(ctx context.Context, expr string, s span) error {
	var list []any
	return p.ask(ctx, "query_exemplars", url.Values{"query": {expr}, "start": {seconds(s.from)}, "end": {seconds(s.to)}}, &list)
}

// seconds writes a moment as the API takes it.
func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// metricsIn are the names of the metrics that an expression selects.
func (p *prometheus) metricsIn(ctx context.Context, expr string) ([]string, error) {
	var tree any
	if err := p.ask(ctx, "parse_query", url.Values{"query": {expr}}, &tree); err != nil {
		return nil, err
	}
	var names []string
	var walk func(node any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if kind := n["type"]; kind == "vectorSelector" || kind == "matrixSelector" {
				name, _ := n["name"].(string) // "" is a selector without one, which nobody should use
				names = append(names, name)
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(tree)
	return names, nil
}

// values are those that a label has among the series of a selector.
func (p *prometheus) values(ctx context.Context, label, selector string) (values []string, err error) {
	err = p.ask(ctx, "label/"+label+"/values?match[]="+url.QueryEscape(selector), nil, &values)
	return values, err
}
