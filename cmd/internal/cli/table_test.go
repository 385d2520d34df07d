package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
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
		"a pipe":            {0, id + "  " + reason},
		"a terminal":        {100, id[:12] + "  " + strings.Repeat("é", 100-12-2-1) + "…"},
		"a wide terminal":   {200, id[:12] + "  " + reason},
		"a narrow terminal": {20, id[:12] + "  " + strings.Repeat("é", minLast-1) + "…"},
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

// On a terminal, columns without values are left out, titles are cut, and states have colors; what reads a
// pipe gets all of it.
func TestTableOnATerminal(t *testing.T) {
	const id = "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"
	title, reason := strings.Repeat("t", 100), strings.Repeat("r", 100)
	for name, test := range map[string]struct {
		width         int
		term, noColor string
		rows          [][]string // state, empty, title, reason
		want          string
	}{
		"a pipe": {
			0, "xterm", "",
			[][]string{{"dead", "", title, reason}},
			"ID                                    STATE  EMPTY  TITLE" + strings.Repeat(" ", 97) + "REASON\n" +
				id + "  dead          " + title + "  " + reason + "\n",
		},
		"a terminal": {
			130, "xterm", "",
			[][]string{{"dead", "", title, reason}, {"started", "", "t", ""}},
			"ID                  STATE    TITLE" + strings.Repeat(" ", 36) + "REASON\n" +
				id[:18] + "  \x1b[31mdead     \x1b[0m" + title[:38] + "…  " + reason[:59] + "…\n" + id[:18] + "  started  t\n",
		},
		"one without colors": {
			130, "xterm", "1",
			[][]string{{"success", "", "t", ""}},
			"ID                  STATE    TITLE\n" + id[:18] + "  success  t\n",
		},
		"a dumb one": {
			130, "dumb", "",
			[][]string{{"running", "e", "", ""}},
			"ID                  STATE    EMPTY\n" + id[:18] + "  running  e\n",
		},
		"a state at the end": {
			80, "xterm", "",
			[][]string{{"waiting", "", "", ""}},
			"ID                  STATE\n" + id[:18] + "  \x1b[33mwaiting\x1b[0m\n",
		},
		"titles at the end": {
			100, "xterm", "1",
			[][]string{{"dead", "", title, ""}},
			"ID                  STATE  TITLE\n" + id[:18] + "  dead   " + title[:72] + "…\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", test.term)
			t.Setenv("NO_COLOR", test.noColor)
			var out bytes.Buffer
			table := newTable(&out, "ID", "STATE", "EMPTY", "TITLE", "REASON")
			table.width, table.fold, table.fates, table.titles = test.width, true, 1, 3
			for _, row := range test.rows {
				table.row(append([]string{table.id(id)}, row...)...)
			}
			if err := table.flush(); err != nil || out.String() != test.want {
				t.Errorf("%v, got\n%q\nwant\n%q", err, out.String(), test.want)
			}
		})
	}
}

// The headings come again if a later page has other columns.
func TestTableOfPages(t *testing.T) {
	t.Setenv("TERM", "dumb")
	var out bytes.Buffer
	table := newTable(&out, "A", "B")
	table.width, table.fold = 80, true
	for _, rows := range [][][]string{{{"1", ""}}, {{"2", ""}}, {}, {{"3", "x"}}} {
		for _, row := range rows {
			table.row(row...)
		}
		if err := table.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "A\n1\n2\nA  B\n3  x\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A line is no longer than the terminal: what matters least is left out. A pipe gets all of it.
func TestTableIsAsWideAsTheTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	at := time.Date(2026, 11, 29, 23, 1, 19, 0, time.Local)
	const id, commit = "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e", "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	const reason = "run job: no permission (403 CB.00030009, request e48dca4383): ask for the role"
	b := admin.Build{
		ID: id, State: store.Dead, ReceivedAt: at, StartedAt: at, EndedAt: at.Add(time.Second), Rule: "cart", Target: "north",
		Repository: "acme/shop", Ref: "refs/heads/main", Commit: commit, Pusher: "ann", BuildNumber: "12", Title: "Count the items",
		Error: reason,
	}
	list := func(width int) string {
		var out bytes.Buffer
		table := newBuildTable(&out)
		table.width = width
		table.build(&b)
		if err := table.flush(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	watch := func(width int) string {
		var out bytes.Buffer
		lines := newWatchLinesOf(&Environment{Stdout: &out}, width)
		long := b
		long.Ref, long.Rule, long.Title = "refs/heads/"+strings.Repeat("x", 60), strings.Repeat("r", 60), strings.Repeat("t", 200)
		for _, err := range []error{lines.head(), lines.line(&b), lines.line(&long)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return out.String()
	}
	for name, test := range map[string]struct {
		table func(int) string
		width int
		head  string
		has   []string
	}{
		"builds, 80": {list, 80, "RECEIVED ID STATE REF REASON", []string{id[:18], "main  run job: no permission (4…"}},
		"builds, 120": {
			list, 120, "RECEIVED ID STATE TOOK RULE REPOSITORY REF COMMIT REASON",
			[]string{commit[:12], "run job: no permission (403…"},
		},
		"builds, 200": {
			list, 200, "RECEIVED ID STATE TOOK RULE TARGET REPOSITORY REF COMMIT PUSHER NUMBER TITLE REASON",
			[]string{"Count the items"},
		},
		"builds, pipe": {
			list, 0, "RECEIVED ID STATE TOOK RULE TARGET REPOSITORY REF COMMIT PUSHER NUMBER TITLE REASON",
			[]string{id, commit, reason},
		},
		"watch, 80":  {watch, 80, "AT ID STATE REF REASON", []string{id[:18], "run job: no permission …"}},
		"watch, 120": {watch, 120, "AT ID STATE TOOK RULE REPOSITORY REF REASON", []string{"run job: no permission"}},
		"watch, 250": {
			watch, 250, "AT ID STATE TOOK RULE REPOSITORY REF COMMIT NUMBER TITLE REASON",
			[]string{"Count the items", reason},
		},
		"watch, pipe": {
			watch, 0, "AT ID STATE TOOK RULE REPOSITORY REF COMMIT NUMBER TITLE REASON",
			[]string{id, commit, reason},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := test.table(test.width)
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if head := strings.Join(strings.Fields(lines[0]), " "); head != test.head {
				t.Errorf("columns %s, want %s", head, test.head)
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); test.width > 0 && n > test.width {
					t.Errorf("%d characters: %s", n, line)
				}
			}
			for _, part := range test.has {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in\n%s", part, text)
				}
			}
			if at := strings.Index(lines[0], "REASON"); at != len([]rune(lines[1][:strings.Index(lines[1], "run job")])) {
				t.Errorf("REASON is not above the reasons:\n%s", text)
			}
		})
	}
}
