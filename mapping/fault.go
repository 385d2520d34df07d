package mapping

import (
	"slices"
	"strconv"
	"strings"

	"buildbridge/mapping/printable"
)

// Fault is one thing wrong in a rules document, at its place.
type Fault struct {
	File    string `json:"file"`    // as given in File.Name
	Line    int    `json:"line"`    // from 1
	Column  int    `json:"column"`  // from 1, in characters
	Rule    string `json:"rule"`    // name of the rule, "" outside of rules
	Field   string `json:"field"`   // path of the field inside its rule, source or target; "" for the document
	Message string `json:"message"` // what is wrong, and what to do

	Warning bool `json:"-"` // the document can still be used
}

// textFault is something wrong in a text of a document: a template, an expression.
// Where the text is in the file makes it a [Fault].
type textFault struct {
	offset  int // in the text, in bytes
	message string
}

// Error implements error: file:line:column: rule "x": field: what is wrong.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(f.Line))
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(f.Column))
	b.WriteString(": ")
	if f.Rule != "" {
		b.WriteString("rule ")
		b.WriteString(strconv.Quote(f.Rule))
		b.WriteString(": ")
	}
	if f.Field != "" {
		b.WriteString(printable.Text(f.Field))
		b.WriteString(": ")
	}
	b.WriteString(printable.Text(f.Message))
	return b.String()
}

// Faults is the error of [Parse]: every fault of every file at once, sorted by
// file, in the order the files were given, and by place.
type Faults []Fault

// Error implements error: one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// sortFaults puts faults in the order of the files, then of their places.
func sortFaults(fs []Fault, files []File) {
	order := make(map[string]int, len(files))
	for i, f := range files {
		if _, seen := order[f.Name]; !seen {
			order[f.Name] = i
		}
	}
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if c := order[a.File] - order[b.File]; c != 0 {
			return c
		}
		if c := a.Line - b.Line; c != 0 {
			return c
		}
		return a.Column - b.Column
	})
}

// clip shortens text for a message.
func clip(s string) string { return printable.Clip(s, 80) }
