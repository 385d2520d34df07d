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

	// narrow is what a terminal that is too narrow does without: the headings of columns, those first that
	// matter least.
	narrow []string
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

// How wide texts are on a terminal.
const (
	minLast  = 22 // the last column: columns are left out for it
	wantLast = 60 // titles are cut for it
	minTitle = 20
	maxTitle = 50
)

// flush writes the rows so far, and the headings if they were not written or had other
// columns. Columns are aligned among the rows of one flush. On a terminal, columns are left out until the
// others fit, and the last one is cut at the end of the line.
func (t *table) flush() error {
	if len(t.kept) == 0 {
		return nil
	}
	shown, widths := t.fit()
	rows := t.kept
	if len(t.head) > 0 && t.least == nil && !slices.Equal(shown, t.shown) {
		rows = slices.Insert(rows, 0, t.head)
	}
	t.kept, t.shown = nil, shown
	last := lastOf(shown)
	before := t.total(shown, widths) - min(widths[last], minLast)
	if t.width > 0 && t.titles >= 0 && t.titles < last && shown[t.titles] {
		before -= min(widths[t.titles], minTitle)
		room := min(maxTitle, max(minTitle, t.width-before-wantLast))
		widths[t.titles] = min(widths[t.titles], room)
		before += widths[t.titles]
	}
	for _, row := range rows {
		var line strings.Builder
		for i, width := range widths[:last] {
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

// fit says which columns are shown, and how wide they are. With least, the columns are those that fit so wide,
// whatever the cells: lines that are written one by one are to be aligned.
func (t *table) fit() (shown []bool, widths []int) {
	shown = t.columns()
	natural := make([]int, len(shown))
	copy(natural, t.least)
	widths = slices.Clone(natural)
	for _, row := range append([][]string{t.head}, t.kept...) {
		for i, cell := range row {
			natural[i] = max(natural[i], utf8.RuneCountInString(cell))
		}
	}
	if t.least == nil {
		widths = natural
	} else {
		widths[len(widths)-1] = minLast
	}
	for _, column := range t.narrow {
		if t.width == 0 || t.total(shown, widths) <= t.width {
			break
		}
		shown[slices.Index(t.head, column)] = false
	}
	if t.width == 0 || t.total(shown, natural) <= t.width {
		widths = natural
	}
	return shown, widths
}

// total is how wide lines are with as little as possible of the title and of the last column.
func (t *table) total(shown []bool, widths []int) int {
	last := lastOf(shown)
	sum := min(widths[last], minLast)
	for i, width := range widths[:last] {
		switch {
		case !shown[i]:
		case i == t.titles && t.width > 0:
			sum += min(width, minTitle) + len(gap)
		default:
			sum += width + len(gap)
		}
	}
	return sum
}

func lastOf(shown []bool) int {
	last := len(shown) - 1
	for !shown[last] && last > 0 {
		last--
	}
	return last
}

// columns says which columns have something to show.
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
