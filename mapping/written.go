package mapping

import (
	"bytes"
	"compress/flate"
	"io"
	"slices"
	"strings"
)

// Written is a rule as it stands in its file.
type Written struct {
	File string `json:"file"` // as given in File.Name
	Line int    `json:"line"` // where the rule begins
	Text string `json:"text"` // its lines, from the first to the last, each with its indentation

	// Entry are the lines of the repository of a for_each that gives the rule, and EntryLine where they
	// begin; "" and 0 for a rule without.
	EntryLine int    `json:"entry_line,omitempty"`
	Entry     string `json:"entry,omitempty"`
}

// ruleFile is a file that has rules. It keeps their lines, from the first rule to the last, for
// [Ruleset.Written]: compressed, for rules repeat much of each other.
type ruleFile struct {
	name       string
	first      int32 // line
	compressed []byte
}

// newRuleFile keeps the lines of a file that its rules are in.
func (l *loader) newRuleFile(s scope, rules []ruleDocument) *ruleFile {
	kept := &ruleFile{name: s.file.Name}
	if len(rules) == 0 {
		return kept
	}
	first, last := rules[0].At.Line, rules[0].At.Line
	for i := range rules {
		first, last = min(first, rules[i].At.Line), max(last, rules[i].At.Line)
	}
	lines := s.file.Lines()
	kept.first = first
	if first < 1 || int(last) > len(lines) { // the parser counts as we do
		return kept
	}
	end := lastLine(lines, int(last)-1, ruleDepth(lines[last-1]))
	var text bytes.Buffer
	if l.compressor == nil {
		l.compressor, _ = flate.NewWriter(&text, flate.BestSpeed) // no error: the level is one
	}
	l.compressor.Reset(&text)
	_, _ = io.WriteString(l.compressor, strings.Join(lines[first-1:end+1], "\n"))
	_ = l.compressor.Close() // a buffer takes everything
	kept.compressed = bytes.Clone(text.Bytes())
	return kept
}

// lines are those that are kept, the first of them is line first of the file.
func (f *ruleFile) lines() []string {
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(f.compressed)))
	if err != nil {
		return nil // it was not kept
	}
	return strings.Split(string(text), "\n")
}

// lastLine is the last line, counted from 0, of what begins in a line: those belong to it that are
// indented by more than depth, and what is between them.
func lastLine(lines []string, first, depth int) int {
	last := first
	for i := first + 1; i < len(lines); i++ {
		text := strings.TrimLeft(lines[i], " ")
		switch indent := len(lines[i]) - len(text); {
		case strings.TrimSpace(text) == "":
		case indent > depth:
			last = i
		case text[0] != '#':
			return last
		}
	}
	return last
}

// ruleDepth is the indentation of what a rule is in that begins in this line: of its dash or of the list, or one
// less than its own.
func ruleDepth(line string) int {
	depth := indentOf(line)
	if text := line[depth:]; depth > 0 && text != "" && text[0] != '-' && !strings.HasPrefix(strings.Trim(text, `"'`), "rules") {
		depth--
	}
	return depth
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// Written gives a rule as it stands in its file. ok is false if there is no rule of this name. The text
// is "" if it is not known.
func (rs *Ruleset) Written(name string) (w Written, ok bool) {
	i := slices.Index(rs.names, name)
	if i < 0 {
		return w, false
	}
	r := rs.rules[i]
	w = Written{File: r.file.name, Line: int(r.line), EntryLine: int(r.entry)}
	lines, first := r.file.lines(), int(r.line-r.file.first)
	if first < 0 || first >= len(lines) {
		return w, true
	}
	end := lastLine(lines, first, ruleDepth(lines[first]))
	for _, other := range rs.rules {
		if other.file == r.file && other.line > r.line {
			end = min(end, int(other.line-r.line)+first-1) // of a list in brackets, which is not told by its indentation
		}
	}
	w.Text = strings.Join(lines[first:end+1], "\n")
	if at := int(r.entry - r.file.first); r.entry > 0 && at > first && at <= end {
		w.Entry = strings.Join(lines[at:min(end, lastLine(lines, at, indentOf(lines[at])))+1], "\n")
	}
	return w, true
}
