package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping/printable"
)

// What a delivery brings along must not reach a terminal as a command.
func TestPrintable(t *testing.T) {
	for given, want := range map[string]string{
		"main":                   "main",
		"größe/分支":               "größe/分支",
		"a\x1b[2Jb":              `a\x1b[2Jb`,
		"a\tb\nc\rd":             `a\tb\nc\rd`,
		"a\u202eb":               `a\u202eb`,
		"a\u009bb":               `a\u009bb`,
		string([]byte{'a', 255}): "a\uFFFD",
	} {
		if got := printable.Text(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out, "NAME", "VALUE", "REST")
	table.row("a", "1", "")
	table.row("a\x1b[0mlonger", "2", "x")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	const want = "NAME            VALUE  REST\na               1\na\\x1b[0mlonger  2      x\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A terminal shows of the last column what fits, and of a commit its beginning; what
// reads a pipe gets all of it.
func TestTableFits(t *testing.T) {
	const id = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	reason := strings.Repeat("é", 100)
	for name, test := range map[string]struct {
		width int
		want  string
	}{
		"a pipe":             {0, id + "  " + reason},
		"a terminal":         {100, id[:12] + "  " + strings.Repeat("é", 100-12-2-1) + "…"},
		"a wide terminal":    {200, id[:12] + "  " + reason},
		"a narrow terminal":  {20, id[:12] + "  " + strings.Repeat("é", minLast-1) + "…"},
		"one without a size": {1, id[:12] + "  " + strings.Repeat("é", minLast-1) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			table := newTable(&out)
			table.width = test.width
			table.row(table.commit(id), reason)
			if err := table.flush(); err != nil || out.String() != test.want+"\n" {
				t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), test.want)
			}
		})
	}
}

func TestTableWithoutRows(t *testing.T) {
	var out bytes.Buffer
	if err := newTable(&out, "NAME").flush(); err != nil || out.Len() > 0 {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestMoment(t *testing.T) {
	now := time.Now()
	for given, want := range map[string]time.Time{
		"90m":                  now.Add(-90 * time.Minute),
		"0s":                   now,
		"7d":                   now.AddDate(0, 0, -7),
		"2026-01-31T08:00:00Z": time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
		"2026-01-31 08:00:00":  time.Date(2026, 1, 31, 8, 0, 0, 0, time.Local),
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
	} {
		if got, err := parseMoment(given); err != nil || got.Sub(want).Abs() > time.Minute {
			t.Errorf("%s is %v, %v; want %v", given, got, err, want)
		}
	}
	for _, given := range []string{"", "yesterday", "-2h", "-1d", "d", "2026-13-01", "5"} {
		if got, err := parseMoment(given); err == nil {
			t.Errorf("%q is %v", given, got)
		}
	}
}
