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
	head  []string   // the headings
	kept  [][]string // rows not written yet
	rows  int
	least []int // how wide the columns are at least; nil for as wide as their cells

	fold   bool   // on a terminal, columns that are empty are left out
	fates  int    // the column of states, which have colors on a terminal; -1 for none
	titles int    // the column of titles, which are cut on a terminal; -1 for none
	shown  []bool // the columns that the headings above have; nil before the first
}

func newTable(w io.Writer, head ...string) *table {
	return &table{to: w, head: head, fates: -1, titles: -1}
}

func (t *table) row(cells ...string) {
	t.rows++
	for i, cell := range cells {
		cells[i] = printable.Text(cell)
	}
	t.kept = append(t.kept, cells)
}

// How wide texts are on a terminal that is too narrow.
const (
	minLast  = 60 // the last column
	minTitle = 20
	maxTitle = 50
)

// flush writes the rows so far, and the headings if they were not written or had other
// columns. Columns are aligned among the rows of one flush. On a terminal the last column is
// cut at the end of the line.
func (t *table) flush() error {
	if len(t.kept) == 0 {
		return nil
	}
	shown := t.columns()
	rows := t.kept
	if len(t.head) > 0 && !slices.Equal(shown, t.shown) {
		rows = slices.Insert(rows, 0, t.head)
	}
	t.kept, t.shown = nil, shown
	last := len(shown) - 1
	for !shown[last] && last > 0 {
		last--
	}
	widths := make([]int, last)
	copy(widths, t.least)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	before := 0
	for i, width := range widths {
		if shown[i] && i != t.titles {
			before += width + len(gap)
		}
	}
	if t.width > 0 && t.titles >= 0 && t.titles < last && shown[t.titles] {
		room := min(maxTitle, max(minTitle, t.width-before-minLast-len(gap)))
		widths[t.titles] = min(widths[t.titles], room)
		before += widths[t.titles] + len(gap)
	}
	for _, row := range rows {
		var line strings.Builder
		for i, width := range widths {
			if shown[i] {
				line.WriteString(t.color(i, row[i], fmt.Sprintf("%-*s"+gap, width, t.cut(row[i], width))))
			}
		}
		text := row[last]
		if t.width > 0 {
			text = t.cut(text, max(minLast, t.width-before))
		}
		line.WriteString(t.color(last, row[last], text))
		if _, err := fmt.Fprintln(t.to, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// columns says which columns are shown.
func (t *table) columns() []bool {
	shown := make([]bool, len(t.kept[0]))
	for i := range shown {
		shown[i] = !t.fold || t.width == 0 || slices.ContainsFunc(t.kept, func(row []string) bool { return row[i] != "" })
	}
	return shown
}

func (*table) cut(cell string, width int) string {
	if utf8.RuneCountInString(cell) > width {
		return printable.Clip(cell, max(0, width-1))
	}
	return cell
}

// color gives a state its color, if the terminal has some.
func (t *table) color(column int, cell, text string) string {
	if column != t.fates || t.width == 0 || !hasColors() {
		return text
	}
	return paint(cell, text)
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

// id is an id, shortened on a terminal to what is unique in practice: the time, to a fraction of a
// millisecond. Every command takes it so.
func (t *table) id(id string) string {
	const short = 18
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
