package yamldoc

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// step is how much further in a map or list stands than what it is the value of.
const step = 2

// Format gives the text of a file with the fields of each map in the order of the structs,
// and with an indentation of two spaces. into is of the type of the document; it is not
// changed. Lines are moved and indented, and a map in braces on one line has its fields
// moved. Comments stay with what they stand above or behind, as far in as that; blank lines stay
// above their field, but for those of a field that becomes the first of its map. Quotes and the
// order of lists and of maps of names stay. Line ends stay as that of the first line.
//
// A text that would mean something else afterwards, or have other comments, is a fault at the
// first comment or value that differs.
// Format looks at no more than the syntax: whoever calls it decodes the file before.
func Format(name string, data []byte, s *Schema, into Document) ([]byte, *Fault) {
	f, fault := Parse(name, data)
	if fault != nil {
		return nil, fault
	}
	t := reflect.TypeOf(into).Elem()
	before := meaning(f.root, t, s)
	text, fault := f.format(s, t)
	if fault != nil {
		return nil, fault
	}
	after, fault := Parse(name, []byte(text))
	if fault != nil || meaning(after.root, t, s) != before || !slices.Equal(comments(f.text), comments(text)) {
		return nil, f.unlike(after, fault, s, t)
	}
	if first, _, _ := bytes.Cut(data, []byte("\n")); bytes.HasSuffix(first, []byte("\r")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if mark := []byte("\ufeff"); bytes.HasPrefix(data, mark) {
		text = string(mark) + text
	}
	return []byte(text), nil
}

// unlike is the fault of a text that says something else than its file, at the comment or value
// of the file where they part.
func (f *File) unlike(after *File, fault *Fault, s *Schema, t reflect.Type) *Fault {
	const kept = "; nothing was changed"
	left := comments(after.text)
	for _, c := range commentTokens(f.text) {
		i, found := slices.BinarySearch(left, strings.TrimRight(c.Value, " \t"))
		if !found {
			at := position(c.Position.Line, c.Position.Column)
			return &Fault{At: at, Message: "fmt cannot keep this comment: put it right above a field, and as far in as that" + kept}
		}
		left = slices.Delete(left, i, i+1)
	}
	message := "fmt cannot move this without changing what it means: write it on one line, a text in quotes" + kept
	if fault == nil {
		n := s.changed(f.root, after.root, t)
		return &Fault{At: position(n.GetToken().Position.Line, n.GetToken().Position.Column), Message: message}
	}
	at := position(1, 1)
	if broken := strings.Split(after.text, "\n"); int(fault.At.Line) <= len(broken) {
		text := strings.TrimSpace(broken[fault.At.Line-1])
		for n, line := range strings.Split(f.text, "\n") {
			if strings.HasSuffix(strings.TrimSpace(line), text) {
				at = position(n+1, 1+indentation(line))
				break
			}
		}
	}
	return &Fault{At: at, Message: message}
}

// changed gives the innermost value, or key, of a that b does not have.
func (s *Schema) changed(a, b ast.Node, t reflect.Type) ast.Node {
	if list, ok := a.(*ast.SequenceNode); ok {
		other, _ := b.(*ast.SequenceNode)
		for i, v := range list.Values {
			if other == nil || i >= len(other.Values) || v == nil {
				break
			}
			if inside := elementOf(t); meaning(v, inside, s) != meaning(other.Values[i], inside, s) {
				return s.changed(v, other.Values[i], inside)
			}
		}
		return a
	}
	fields, _ := pairs(a)
	others, _ := pairs(b)
	for _, p := range fields {
		i := slices.IndexFunc(others, func(q *ast.MappingValueNode) bool { return keyText(q) == keyText(p) })
		if i < 0 {
			return p.Key
		}
		if inside, _ := s.field(t, keyText(p)); meaning(p.Value, inside, s) != meaning(others[i].Value, inside, s) {
			if n := s.changed(p.Value, others[i].Value, inside); n != p.Value {
				return n
			}
			return p.Key
		}
	}
	return a
}

// format rearranges the lines of a file.
func (f *File) format(s *Schema, t reflect.Type) (text string, fault *Fault) {
	defer func() {
		if r := recover(); r != nil { // the syntax trees of odd input can have holes
			text, fault = "", &Fault{At: position(1, 1), Message: fmt.Sprintf("this YAML cannot be read: %v", r)}
		}
	}()
	l := &layout{schema: s, lines: strings.Split(strings.TrimSuffix(f.text, "\n"), "\n"), inBraces: map[int][]rune{}}
	l.comment = make([]bool, len(l.lines))
	for _, c := range commentTokens(f.text) {
		if n := c.Position.Line - 1; n < len(l.lines) && strings.HasPrefix(strings.TrimLeft(l.lines[n], " \t"), "#") {
			l.comment[n] = true
		}
	}
	l.braces(f.root, t)
	for n, line := range l.inBraces {
		l.lines[n] = string(line)
	}
	return strings.Join(l.document(f.root, t), "\n") + "\n", nil
}

// layout is the lines of a file, and how they are put in order.
type layout struct {
	schema   *Schema
	lines    []string
	comment  []bool         // lines that are comments alone
	inBraces map[int][]rune // lines of maps in braces, with the fields of these in order
}

// entry is where an entry of a map or list in lines begins: its key or its dash.
type entry struct {
	line, column int // from 0
	key          bool
	name         string // of a key
	value        ast.Node
}

// part is an entry as it is written, indented.
type part struct {
	order  int
	blanks int      // lines above all
	above  []string // comments, and blank lines below the first of them
	lines  []string
	foot   bool // the last of the lines are comments, which a blank line parts from what comes next
}

func (l *layout) blank(n int) bool { return strings.TrimSpace(l.lines[n]) == "" }
func (l *layout) empty(n int) bool { return l.comment[n] || l.blank(n) }

// document gives the lines of the whole file. The comments at the top stay there: those above
// the last blank line before the first field, and all if there is none.
func (l *layout) document(root ast.Node, t reflect.Type) []string {
	entries, ok := l.entries(root)
	if !ok {
		return l.lines
	}
	first, last := entries[0].line, entries[len(entries)-1].line
	head, split := first, false
	for n := first - 1; n >= 0 && !split; n-- {
		if split = !l.comment[n]; split {
			head = n + 1
		}
	}
	if !split {
		head = first
	}
	end := len(l.lines)
	for n := last + 1; n < end; n++ {
		if word, _, _ := strings.Cut(l.lines[n], " "); word == "..." || word == "---" {
			end = n
		}
	}
	parts, tail, next := l.block(entries, t, head, end, 0, 0)
	return slices.Concat(l.lines[:head], joined(parts, tail), l.lines[next:])
}

// entries gives the entries of a map or list that is written in lines. False means that it is
// something else, whose lines stay as they are.
func (l *layout) entries(n ast.Node) (entries []entry, ok bool) {
	add := func(t *token.Token, e entry) {
		e.line, e.column = t.Position.Line-1, t.Position.Column-1
		ok = ok && e.line >= 0 && e.line < len(l.lines) && e.column >= 0 && e.column < len(l.lines[e.line]) &&
			strings.Trim(l.lines[e.line][:e.column], " -") == "" && // else the column is that of another line, or there is a tab
			(len(entries) == 0 || entries[len(entries)-1].line < e.line && strings.Trim(l.lines[e.line][:e.column], " ") == "" &&
				entries[0].column == e.column)
		entries = append(entries, e)
	}
	ok = true
	switch n := n.(type) {
	case *ast.SequenceNode:
		if n.IsFlowStyle || len(n.Entries) != len(n.Values) {
			return nil, false
		}
		for i, e := range n.Entries {
			add(e.Start, entry{value: n.Values[i]})
		}
	default:
		if m, flow := n.(*ast.MappingNode); flow && m.IsFlowStyle {
			return nil, false
		}
		fields, isMap := pairs(n)
		if !isMap {
			return nil, false
		}
		for _, p := range fields {
			if _, scalar := p.Key.(ast.ScalarNode); !scalar {
				return nil, false
			}
			add(p.Key.GetToken(), entry{key: true, name: keyText(p), value: p.Value})
		}
	}
	return entries, ok && len(entries) > 0
}

// block gives the entries of a map or list in the order of the struct, indented; the comments
// at its end; and the line after these. Its lines are among those from `from` to `to`: the
// comments at the end of them are its own as far as they stand at its column or behind it, and
// at `outer` or behind it.
func (l *layout) block(entries []entry, t reflect.Type, from, to, indent, outer int) (parts []part, tail []string, next int) {
	next = from
	for i, e := range entries {
		limit := to
		if i+1 < len(entries) {
			limit = entries[i+1].line
		}
		if foot := l.foot(next, e.line); i > 0 && foot > next {
			last := &parts[i-1]
			last.lines, last.foot, next = append(last.lines, l.moved(next, foot, indent)...), true, foot
		}
		above := next
		for above < e.line && l.blank(above) {
			above++
		}
		p := part{blanks: above - next}
		inside := elementOf(t)
		if e.key {
			inside, p.order = l.schema.field(t, e.name)
		}
		var raised []string
		raised, p.lines, next = l.entry(e, inside, limit, indent)
		p.above = append(l.moved(above, e.line, indent), raised...)
		parts = append(parts, p)
	}
	end := next
	for n := next; n < to && l.empty(n); n++ {
		if l.comment[n] {
			if indentation(l.lines[n]) < max(entries[0].column, outer) {
				break
			}
			end = n + 1
		}
	}
	first := 0 // by the struct; the blank lines above it and those of the field at the top change places
	for i, p := range parts {
		if p.order < parts[first].order {
			first = i
		}
	}
	parts[0].blanks, parts[first].blanks = parts[first].blanks, parts[0].blanks
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	for i := range parts {
		p := &parts[i]
		if i > 0 && (parts[i-1].foot || slices.Contains(p.above, "")) { // else the comments would be of another entry
			p.blanks = max(1, p.blanks)
		}
		p.above = append(make([]string, p.blanks), p.above...)
	}
	return parts, l.moved(next, end, indent), end
}

// entry gives the lines of an entry, the comments that have to stand above it, and the line
// after it.
func (l *layout) entry(e entry, t reflect.Type, limit, indent int) (raised, lines []string, next int) {
	margin := strings.Repeat(" ", indent)
	first := margin + l.lines[e.line][e.column:]
	inner, nested := l.entries(e.value)
	switch {
	case !nested:
	case inner[0].line == e.line && !e.key && strings.TrimLeft(first[indent+1:], " ") == l.lines[e.line][inner[0].column:]:
		parts, tail, next := l.block(inner, t, e.line, limit, indent+step, e.column+1)
		for _, comment := range parts[0].above {
			raised = append(raised, strings.TrimPrefix(comment, strings.Repeat(" ", step)))
		}
		parts[0].above = nil
		lines = joined(parts, tail)
		lines[0] = margin + "- " + lines[0][indent+step:]
		return raised, lines, next
	case inner[0].line > e.line && l.emptyFrom(e.line+1, inner[0].line):
		parts, tail, next := l.block(inner, t, e.line+1, limit, indent+step, e.column+1)
		return nil, append([]string{strings.TrimRight(first, " ")}, joined(parts, tail)...), next
	}
	if text := strings.TrimLeft(first[indent+1:], " "); !e.key && text != "" {
		first = margin + "- " + text
	}
	next = limit
	for next > e.line+1 && l.empty(next-1) {
		next--
	}
	if next == e.line+1 {
		first = strings.TrimRight(first, " ")
	}
	by := indent - e.column
	if text, ok := e.value.(*ast.LiteralNode); ok {
		inside := e.line + 1
		plain := strings.Trim(text.Start.Value, "|>+-") == "" && inside < next && !l.blank(inside)
		margin := e.column + int(strings.Trim(text.Start.Value+"0", "|>+-")[0]-'0')
		if plain {
			margin = indentation(l.lines[inside])
			by = indent + step - margin
		}
		for n := next; n < limit && l.blank(n); n++ { // they are part of it
			if strings.Contains(text.Start.Value, "+") || len(l.lines[n]) > margin {
				next = n + 1
			}
		}
	}
	lines = []string{first}
	for _, line := range l.lines[e.line+1 : next] {
		lines = append(lines, shifted(line, by))
	}
	return nil, lines, next
}

// foot gives the line after the comments that belong to the entry above them: they begin right
// below it, and a blank line is between them and what comes next.
func (l *layout) foot(from, to int) int {
	n := from
	for n < to && l.comment[n] {
		n++
	}
	if n == to {
		return from
	}
	return n
}

func (l *layout) emptyFrom(from, to int) bool {
	for n := from; n < to; n++ {
		if !l.empty(n) {
			return false
		}
	}
	return true
}

func joined(parts []part, tail []string) (lines []string) {
	for _, p := range parts {
		lines = append(append(lines, p.above...), p.lines...)
	}
	return append(lines, tail...)
}

// moved gives comments, and the blank lines among them, at an indentation: one further in could
// be taken for that of another entry when it is read again.
func (l *layout) moved(from, to, indent int) (lines []string) {
	for n := from; n < to; n++ {
		if l.comment[n] {
			lines = append(lines, strings.Repeat(" ", indent)+strings.TrimSpace(l.lines[n]))
		} else {
			lines = append(lines, "")
		}
	}
	return lines
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// shifted moves a line to the right, or to the left as far as there are spaces.
func shifted(line string, by int) string {
	switch {
	case line == "" || by == 0:
		return line
	case by > 0:
		return strings.Repeat(" ", by) + line
	default:
		return line[min(-by, indentation(line)):]
	}
}

// plainType is the struct, list or map that a type stands for; nil for nothing.
func plainType(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// field gives the type of a field of a map, and its place: that of its struct, or behind all
// others if that does not have it. A map of names has no order of its own.
func (s *Schema) field(t reflect.Type, name string) (of reflect.Type, order int) {
	t = plainType(t)
	switch {
	case t == nil || t.Kind() != reflect.Struct:
		return nil, 0
	case reflect.PointerTo(t).Implements(reflect.TypeFor[Document]()):
		fields := s.Fields(t)
		i := slices.IndexFunc(fields, func(f *Field) bool { return f.Name == name })
		if i < 0 {
			return nil, len(fields)
		}
		return t.Field(fields[i].Index).Type, i
	case reflect.PointerTo(t).Implements(reflect.TypeFor[anyMap]()):
		entries, _ := t.FieldByName("Entries")
		value, _ := entries.Type.Elem().FieldByName("Value")
		return value.Type, 0
	default:
		return nil, 0
	}
}

// elementOf is the type of the elements of a list; nil if it does not matter.
func elementOf(t reflect.Type) reflect.Type {
	if t = plainType(t); t != nil && t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return nil
}

// braces puts the fields of maps in braces in order, where one is on a single line. What
// stands between the fields does not move, so that the line keeps its length.
func (l *layout) braces(n ast.Node, t reflect.Type) {
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, e := range list.Values {
			l.braces(e, elementOf(t))
		}
		return
	}
	fields, _ := pairs(n)
	order := make([]int, len(fields))
	for i, p := range fields {
		var inside reflect.Type
		inside, order[i] = l.schema.field(t, keyText(p))
		l.braces(p.Value, inside)
	}
	m, ok := n.(*ast.MappingNode)
	if !ok || !m.IsFlowStyle || slices.IsSorted(order) || m.End == nil {
		return
	}
	line := m.Start.Position.Line
	if line < 1 || line > len(l.lines) || m.End.Position.Line != line {
		return
	}
	text, known := l.inBraces[line-1]
	if !known { // once a line, which can have thousands of maps
		text = []rune(l.lines[line-1])
		l.inBraces[line-1] = text
	}
	end := m.End.Position.Column - 1
	if end < 0 || end >= len(text) || text[end] != '}' {
		return
	}
	type span struct{ order, from, to int }
	spans := make([]span, len(fields))
	for i := len(fields) - 1; i >= 0; i-- {
		key := fields[i].Key.GetToken().Position
		from := key.Column - 1
		if key.Line != line || from < 0 || from >= end {
			return
		}
		to := end
		for to > from && text[to-1] == ' ' {
			to--
		}
		if to > from && text[to-1] == ',' {
			to--
		}
		spans[i], end = span{order[i], from, to}, from
	}
	sorted := slices.Clone(spans)
	slices.SortStableFunc(sorted, func(a, b span) int { return cmp.Compare(a.order, b.order) })
	var out []rune
	for i, s := range sorted {
		out = append(out, text[s.from:s.to]...)
		if i+1 < len(spans) {
			out = append(out, text[spans[i].to:spans[i+1].from]...)
		}
	}
	copy(text[spans[0].from:], out)
}

func commentTokens(text string) []*token.Token {
	return slices.DeleteFunc(lexer.Tokenize(text), func(t *token.Token) bool { return t.Type != token.CommentType })
}

// comments gives the comments of a text, sorted.
func comments(text string) []string {
	var all []string
	for _, c := range commentTokens(text) {
		all = append(all, strings.TrimRight(c.Value, " \t"))
	}
	slices.Sort(all)
	return all
}

// meaning is all that a value says, its quotes included, without the order of the fields of a
// struct.
func meaning(n ast.Node, t reflect.Type, s *Schema) string {
	switch n := n.(type) {
	case nil:
		return ""
	case *ast.MappingNode, *ast.MappingValueNode:
		fields, _ := pairs(n)
		type said struct {
			order int
			text  string
		}
		all := make([]said, len(fields))
		for i, p := range fields {
			inside, order := s.field(t, keyText(p))
			all[i] = said{order, fmt.Sprintf("%q: %q", meaning(p.Key, nil, s), meaning(p.Value, inside, s))}
		}
		slices.SortStableFunc(all, func(a, b said) int { return cmp.Compare(a.order, b.order) })
		return fmt.Sprintf("map %v", all)
	case *ast.SequenceNode:
		texts := make([]string, len(n.Values))
		for i, e := range n.Values {
			texts[i] = meaning(e, elementOf(t), s)
		}
		return fmt.Sprintf("list %q", texts)
	case *ast.LiteralNode:
		return fmt.Sprintf("%q %q", n.Start.Value, n.Value.Value)
	case ast.ScalarNode:
		return fmt.Sprintf("%v %q", n.GetToken().Type, n.GetToken().Value)
	default:
		return fmt.Sprintf("%T %q", n, n.String())
	}
}
