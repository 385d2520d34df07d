// Package alerts_test holds the alerts to what promtool does not check: each has
// tests of both kinds, its texts, its section of the runbook, and metrics that exist.
// The tests themselves are the files beside it, for `make alerts`.
package alerts_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const root = "../../../../"

type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func load(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	load(t, "../buildbridge.yaml", &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

// one alert of one severity.
type alert struct{ name, severity string }

func TestEachAlertIsTestedFiringAndNot(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	severities := map[string][]string{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			severities[r.Alert] = append(severities[r.Alert], r.Labels["severity"])
		}
	}
	firing, silent := map[alert]bool{}, map[alert]bool{}
	for _, name := range files {
		var file struct {
			Tests []struct {
				Cases []struct {
					Alertname string
					Expected  []struct {
						Labels map[string]string `yaml:"exp_labels"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		load(t, name, &file)
		for _, test := range file.Tests {
			for _, c := range test.Cases {
				if severities[c.Alertname] == nil {
					t.Errorf("%s tests %q, which there is not", name, c.Alertname)
				}
				fires := map[string]bool{}
				for _, e := range c.Expected {
					fires[e.Labels["severity"]] = true
				}
				for _, s := range severities[c.Alertname] {
					if fires[s] {
						firing[alert{c.Alertname, s}] = true
					} else {
						silent[alert{c.Alertname, s}] = true
					}
				}
			}
		}
	}
	for name, all := range severities {
		for _, s := range all {
			if a := (alert{name, s}); !firing[a] || !silent[a] {
				t.Errorf("%s, %s: tested firing: %v, not firing: %v", name, s, firing[a], silent[a])
			}
		}
	}
}

func TestEachAlertSaysWhatToDo(t *testing.T) {
	const prefix = "https://git.example.com/buildbridge/blob/main/"
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		switch r.Labels["severity"] {
		case "critical", "warning", "info":
		default:
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary or description", r.Alert)
		}
		path, ok := strings.CutPrefix(r.Annotations["runbook_url"], prefix)
		file, anchor, _ := strings.Cut(path, "#")
		if !ok || !anchors(t, file)[anchor] || anchor != strings.ToLower(r.Alert) {
			t.Errorf("%s: runbook_url %q leads to no section of its own", r.Alert, r.Annotations["runbook_url"])
		}
		// While it is down, there are no pages.
		if has := strings.HasPrefix(r.Annotations["pages_url"], "http://127.0.0.1:8081/"); has == (r.Alert == "BuildbridgeDown") {
			t.Errorf("%s: pages_url %q", r.Alert, r.Annotations["pages_url"])
		}
	}
}

// anchors are those that GitHub makes of headings of a file of the repository.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	data, err := fs.ReadFile(os.DirFS(root), path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(string(data), -1) {
		all[strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

// The runbook's sections are of alerts that exist, and its links lead to sections.
func TestRunbookNamesAlertsThatExist(t *testing.T) {
	data, err := os.ReadFile(root + "docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range rules(t) {
		known[r.Alert] = true
	}
	for _, name := range regexp.MustCompile(`\bBuildbridge\w+`).FindAllString(string(data), -1) {
		if !known[name] {
			t.Errorf("the runbook names %s, which there is not", name)
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([\w.-]*)#([\w-]+)\)`).FindAllStringSubmatch(string(data), -1) {
		file := m[1]
		if file == "" {
			file = "runbook.md"
		}
		if !anchors(t, "docs/"+file)[m[2]] {
			t.Errorf("the runbook links to %s#%s, which there is not", file, m[2])
		}
	}
}

func TestEachMetricIsInTheTable(t *testing.T) {
	table, err := os.ReadFile(root + "docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		recorded[r.Record] = true
	}
	for _, r := range rules(t) {
		for _, name := range regexp.MustCompile(`[\w:]*buildbridge_[\w:]+`).FindAllString(r.Expr, -1) {
			metric := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			if !recorded[name] && !strings.Contains(string(table), "| `"+metric+"` |") {
				t.Errorf("%s%s uses %s, which is not among the metrics of docs/observe.md", r.Alert, r.Record, name)
			}
		}
	}
}
