package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/printable"
)

// Fault is one thing wrong in a rules document, and where.
type Fault struct {
	File    string `json:"file"`    // as given in File.Name
	Line    int    `json:"line"`    // from 1
	Column  int    `json:"column"`  // from 1, in characters
	Rule    string `json:"rule"`    // name of the rule, "" outside of rules
	Field   string `json:"field"`   // path of the field inside its rule, source or target; "" for the document
	Message string `json:"message"` // what is wrong, and what to do

	// LineText is the line of the file, for a fault of syntax: see [Fault.Excerpt].
	LineText string `json:"line_text,omitempty"`

	Warning bool `json:"-"` // the document can still be used
	Unread  bool `json:"-"` // nothing of the file is known, so that other checks were skipped
}

// textFault is something that is wrong in a text of a document, such as a template or an
// expression. With the position of the text in the file it becomes a [Fault].
type textFault struct {
	offset  int // in the text, in bytes
	message string
}

// Error gives one line: file:line:column: rule "x": field: what is wrong.
func (f Fault) Error() string {
	line := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Rule != "" {
		line += fmt.Sprintf("rule %q: ", f.Rule)
	}
	if f.Field != "" {
		line += printable.Text(f.Field) + ": "
	}
	return line + printable.Text(f.Message)
}

// Faults is the error of [Parse]: every fault of every file at once, in the order of
// the files that were given, and in each file in the order of lines and columns.
type Faults []Fault

// Error gives one fault a line, for [MaxAlike] faults of each kind, and then how many more there
// are.
func (fs Faults) Error() string { return fs.text(false) }

// WithLines is Error with the [Fault.Excerpt] of each fault below it.
func (fs Faults) WithLines() string { return fs.text(true) }

func (fs Faults) text(excerpts bool) string {
	few, more := FewOfEach(fs)
	lines := make([]string, 0, len(few)+len(more))
	for _, f := range few {
		lines = append(lines, f.Error())
		if excerpt := f.Excerpt(); excerpts && excerpt != "" {
			lines = append(lines, excerpt)
		}
	}
	for _, m := range more {
		lines = append(lines, m.String())
	}
	return strings.Join(lines, "\n")
}

// sortFaults puts faults in the order of the files, lines and columns.
func sortFaults(fs []Fault, files []File) {
	order := make(map[string]int, len(files))
	for i, f := range files {
		if _, seen := order[f.Name]; !seen {
			order[f.Name] = i
		}
	}
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
}

// clip shortens text for a message.
func clip(s string) string { return printable.Clip(s, 80) }
