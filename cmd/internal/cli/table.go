package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// table writes columns for people.
type table struct {
	to      io.Writer
	aligned bytes.Buffer // not written yet
	w       *tabwriter.Writer
	head    []string // not given yet
	rows    int
}

func newTable(w io.Writer, head ...string) *table {
	t := &table{to: w, head: head}
	t.w = tabwriter.NewWriter(&t.aligned, 0, 0, 2, ' ', 0)
	return t
}

func (t *table) row(cells ...string) {
	if len(t.head) > 0 {
		t.line(t.head)
		t.head = nil
	}
	t.rows++
	t.line(cells)
}

func (t *table) line(cells []string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // to memory
}

// flush writes what was given so far. Columns are aligned between two of them.
func (t *table) flush() error {
	if err := t.w.Flush(); err != nil {
		return err
	}
	for line := range bytes.Lines(t.aligned.Bytes()) {
		if _, err := fmt.Fprintf(t.to, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	t.aligned.Reset()
	return nil
}

// field is a row of a name and its value, and none without a value.
func (t *table) field(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

// printable takes out of a text what a terminal would obey: a branch can be
// called anything.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// clipped bounds a cell of a table, in characters.
func clipped(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// maxReason is how much of a reason a table shows.
const maxReason = 60

// local is a time as the clock on the wall shows it; "" for none.
func local(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// shortRef is a ref as people say it: a branch by its name.
func shortRef(ref string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag " + tag
	}
	return strings.TrimPrefix(ref, "refs/heads/")
}
