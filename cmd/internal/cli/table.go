package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"buildbridge/mapping/printable"
)

// table writes aligned columns.
type table struct {
	to    io.Writer
	width int        // of the terminal, in characters; 0 if it is none
	head  []string   // the headings, until the first row
	kept  [][]string // rows not written yet
	rows  int
	least []int // how wide the columns are at least; nil for as wide as their cells
}

func newTable(w io.Writer, head ...string) *table { return &table{to: w, head: head} }

func (t *table) row(cells ...string) {
	if len(t.head) > 0 {
		t.kept, t.head = append(t.kept, t.head), nil
	}
	t.rows++
	for i, cell := range cells {
		cells[i] = printable.Text(cell)
	}
	t.kept = append(t.kept, cells)
}

// minLast is how wide the last column is on a terminal that is too narrow.
const minLast = 60

// flush writes the rows so far. Columns are aligned among the rows of one flush. On a
// terminal the last column is cut at the end of the line.
func (t *table) flush() error {
	widths := slices.Clone(t.least)
	for _, row := range t.kept {
		widths = append(widths, make([]int, max(0, len(row)-1-len(widths)))...)
		for i, cell := range row[:len(row)-1] {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	before := 0
	for _, width := range widths {
		before += width + len(gap)
	}
	for _, row := range t.kept {
		var line strings.Builder
		for i, cell := range row[:len(row)-1] {
			fmt.Fprintf(&line, "%-*s"+gap, widths[i], cell)
		}
		last := row[len(row)-1]
		if most := max(minLast, t.width-before); t.width > 0 && utf8.RuneCountInString(last) > most {
			last = printable.Clip(last, most-1)
		}
		line.WriteString(last)
		if _, err := fmt.Fprintln(t.to, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	t.kept = nil
	return nil
}

// gap is between two columns.
const gap = "  "

// commit is a commit's id, shortened on a terminal.
func (t *table) commit(id string) string {
	const short = 12
	if t.width > 0 && len(id) > short {
		return id[:short]
	}
	return id
}

// field adds a row with a name and a value, unless the value is empty.
func (t *table) field(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

// local is a time in the local time zone; "" for the zero time.
func local(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// shortRef is the name of a branch, or "tag" and the name of a tag.
func shortRef(ref string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag " + tag
	}
	return strings.TrimPrefix(ref, "refs/heads/")
}
