package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxFile is the most bytes of one file. Odd YAML of this size takes the parser
// seconds and some hundred megabytes, and both grow faster than the file.
const MaxFile = 1 << 20

// Limits of one file.
const (
	maxNesting = 100    // levels
	maxEntries = 10_000 // of a map
)

// File is one rules document. Name is only for faults: the path as the user
// wrote it.
type File struct {
	Name string
	Data []byte
	Err  error // why it could not be read, if so: a fault of the file
}

// Parse merges rules documents into one Ruleset, whose sources are of the providers
// given, and reports every fault of all of them at once: the error, if any, is a
// [Faults], and the Ruleset is nil. The warnings do not keep the documents from being
// used.
func Parse(providers []Provider, files ...File) (*Ruleset, []Fault, error) {
	l, err := newLoader(providers)
	if err != nil {
		return nil, nil, fmt.Errorf("rules language: %w", err)
	}
	if len(files) == 0 {
		l.report(Fault{Line: 1, Column: 1, File: "rules", Message: "no rules file given"})
	}
	for _, f := range files {
		l.read(f)
	}
	rs := l.resolve()
	if len(l.faults) > 0 {
		sortFaults(l.faults, files)
		return nil, nil, Faults(l.faults)
	}
	l.warnSet(rs, files)
	sortFaults(l.warnings, files)
	for _, r := range rs.rules {
		r.scope = scope{} // else the set would keep the loader and the texts of the files
	}
	return rs, l.warnings, nil
}

// loader merges documents. It lives for one Parse.
type loader struct {
	language  *language
	shapes    shapes
	providers providers

	faults   []Fault
	warnings []Fault
	unread   bool // a file, or the names in one, could not be read: what it names is not known

	sources named[*Source]
	targets named[*Target]
	rules   []*rule
	names   map[string]location // of rules

	templates   map[string]template
	constraints map[string]*constraint
}

// location is a place in a file.
type location struct {
	file string
	at   place
}

func (l location) String() string { return fmt.Sprintf("%s:%d:%d", l.file, l.at.line, l.at.column) }

// named keeps values by name, in order.
type named[T any] struct {
	order []T
	index map[string]int
	first map[string]location
	names []string
}

func (n *named[T]) add(name string, at location, v T) {
	if n.index == nil {
		n.index, n.first = map[string]int{}, map[string]location{}
	}
	n.index[name] = len(n.order)
	n.first[name] = at
	n.order = append(n.order, v)
	n.names = append(n.names, name)
}

func (n *named[T]) has(name string) bool {
	_, ok := n.index[name]
	return ok
}

func newLoader(providers []Provider) (*loader, error) {
	lang, err := newLanguage()
	if err != nil {
		return nil, err
	}
	return &loader{
		language: lang, shapes: shapes{}, providers: providers, names: map[string]location{},
		templates: map[string]template{}, constraints: map[string]*constraint{},
	}, nil
}

func (l *loader) report(f Fault) { l.faults = append(l.faults, f) }

// scope is what faults of a part of a file have in common.
type scope struct {
	*loader

	file *sourceFile
	rule string
	path string // of a rule without a name
}

func (s scope) fault(at place, field, format string, args ...any) {
	s.faults = append(s.faults, s.make(at, field, format, args))
}

func (s scope) warn(at place, field, format string, args ...any) {
	f := s.make(at, field, format, args)
	f.Warning = true
	s.warnings = append(s.warnings, f)
}

func (s scope) make(at place, field, format string, args []any) Fault {
	if s.path != "" {
		field = s.path + "." + field
	}
	return Fault{
		File: s.file.name, Line: max(1, int(at.line)), Column: max(1, int(at.column)),
		Rule: s.rule, Field: field, Message: fmt.Sprintf(format, args...),
	}
}

// read adds what one file says.
func (l *loader) read(f File) {
	file := &sourceFile{name: f.Name}
	s := scope{loader: l, file: file}
	start := file.place(1, 1)
	data := bytes.TrimPrefix(f.Data, []byte("\ufeff"))
	switch {
	case f.Err != nil:
		s.unreadable(start, "%v", f.Err)
		return
	case len(data) > MaxFile:
		s.unreadable(start, "the file is larger than %d MiB: split it into several files of one folder", MaxFile>>20)
		return
	case !utf8.Valid(data):
		s.unreadable(s.badByte(data), "the file is not UTF-8")
		return
	case len(bytes.TrimSpace(data)) == 0:
		s.unreadable(start, emptyFile)
		return
	}
	// The parser counts lines wrongly where they end in \r\n.
	file.text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	body, fault := parseYAML(file.text)
	if fault != nil {
		s.unreadable(s.file.place(fault.line, fault.column), "%s", fault.message)
		return
	}
	doc := new(document)
	if s.decode(s.decoder(), body, doc) {
		l.add(s, doc)
	}
}

func (s scope) decoder() *decoder {
	return &decoder{file: s.file, shapes: s.shapes, report: s.report, anchors: map[string]ast.Node{}}
}

func (s scope) unreadable(at place, format string, args ...any) {
	s.unread = true
	s.fault(at, "", format, args...)
}

func (s scope) badByte(data []byte) place {
	line, column := 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		data = data[n:]
	}
	return s.file.place(line, column)
}

// parseFault is why text is not one YAML document.
type parseFault struct {
	line, column int
	message      string
}

const emptyFile = "the file is empty: a rules file begins with version: 1"

// parseYAML reads one document. The parser has panicked on odd input before:
// that too is a fault of the file.
func parseYAML(text string) (body ast.Node, fault *parseFault) {
	defer func() {
		if r := recover(); r != nil {
			body, fault = nil, &parseFault{1, 1, fmt.Sprintf("this is not YAML that can be read: %v", r)}
		}
	}()
	tokens := lexer.Tokenize(text)
	if at, what := tooMuch(tokens); at != nil {
		return nil, &parseFault{at.Line, at.Column, what}
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f := &parseFault{1, 1, ""}
		if y, ok := errors.AsType[yaml.Error](err); !ok {
			f.message = err.Error()
		} else { // whose Error prints the file, in a time that grows with its square
			f.message = y.GetMessage()
			if t := y.GetToken(); t != nil && t.Position != nil {
				f.line, f.column = t.Position.Line, t.Position.Column
			}
		}
		f.message, _, _ = strings.Cut(f.message, "\n")
		f.message = "not YAML: " + f.message
		if aliasOrTag(tokens, f.line) {
			f.message += "; quote text that begins with * or !"
		}
		return nil, f
	}
	docs := slices.DeleteFunc(tree.Docs, func(doc *ast.DocumentNode) bool {
		_, directive := doc.Body.(*ast.DirectiveNode)
		return directive
	})
	if len(docs) > 1 {
		f := &parseFault{1, 1, "a second document begins here (---): one file holds one"}
		if start := docs[1].Start; start != nil && start.Position != nil {
			f.line, f.column = start.Position.Line, start.Position.Column
		}
		return nil, f
	}
	if len(docs) == 0 {
		return nil, &parseFault{1, 1, emptyFile}
	}
	switch docs[0].Body.(type) {
	case nil, *ast.CommentGroupNode, *ast.NullNode:
		return nil, &parseFault{1, 1, emptyFile}
	}
	return docs[0].Body, nil
}

// aliasOrTag says whether there is one in a line or in the one before it.
func aliasOrTag(tokens token.Tokens, line int) bool {
	return slices.ContainsFunc(tokens, func(t *token.Token) bool {
		if t.Position == nil || t.Position.Line > line || t.Position.Line < line-1 {
			return false
		}
		return t.Type == token.AliasType || t.Type == token.TagType || t.Type == token.InvalidType && strings.HasPrefix(strings.TrimSpace(t.Value), "!")
	})
}

// tooMuch finds where tokens nest more than maxNesting levels: the parser recurses
// and would not come back. And it finds a map of more than maxEntries: its time grows
// with their square.
func tooMuch(tokens token.Tokens) (at *token.Position, what string) {
	type block struct{ column, entries int }
	var open []block // maps and lists
	flow, run := 0, 0
	for _, t := range tokens {
		at := t
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.TagType, token.AnchorType, token.MappingKeyType, token.AliasType:
			run++
		case token.MappingValueType:
			if t.Prev != nil {
				at = t.Prev
			}
			fallthrough
		case token.SequenceEntryType:
			run = 0
			if flow == 0 && at.Position != nil {
				c := at.Position.Column
				for len(open) > 0 && open[len(open)-1].column > c {
					open = open[:len(open)-1]
				}
				if len(open) == 0 || open[len(open)-1].column < c {
					open = append(open, block{column: c})
				}
				last := &open[len(open)-1]
				if t.Type == token.MappingValueType {
					last.entries++
				} else {
					last.entries = 0 // a list
				}
				if last.entries > maxEntries {
					return at.Position, fmt.Sprintf("a map has more than %d entries", maxEntries)
				}
			}
		default:
			if t.Prev == nil || t.Prev.Type != token.AnchorType { // else it is the anchor's name
				run = 0
			}
		}
		if flow+run+len(open) > maxNesting && t.Position != nil {
			return t.Position, fmt.Sprintf("nested more than %d levels deep", maxNesting)
		}
	}
	return nil, ""
}

// decode fills doc. False means that nothing in it can be used.
func (s scope) decode(d *decoder, body ast.Node, doc *document) bool {
	_, isMap := pairs(body)
	d.guarded(s, func() { d.value(body, reflect.ValueOf(doc).Elem(), nil) })
	if d.hidden || !isMap {
		s.unread = true
	}
	// An unknown field may be one of the two, misspelt.
	if doc.misnamed() || doc.Sources == nil && doc.misnamed("sources") || doc.Targets == nil && doc.misnamed("targets") {
		s.unread = true
	}
	return len(doc.wrong) == 0 || isMap
}

// add merges a document.
func (l *loader) add(s scope, doc *document) {
	for i := range doc.Sources {
		e := &doc.Sources[i]
		if l.twice(s, e.Key, "sources", l.sources.first) {
			continue
		}
		l.sources.add(e.Key.value, location{s.file.name, e.Key.at}, s.source(e.Key.value, &e.Value))
	}
	for i := range doc.Targets {
		e := &doc.Targets[i]
		if l.twice(s, e.Key, "targets", l.targets.first) {
			continue
		}
		l.targets.add(e.Key.value, location{s.file.name, e.Key.at}, s.target(e.Key.value, &e.Value))
	}
	for i := range doc.Rules {
		r := &doc.Rules[i]
		in := s
		in.rule, in.path = r.label, r.path
		if r.Name.at.present() {
			if first, seen := l.names[r.Name.value]; seen {
				in.fault(r.Name.at, "name", "another rule has this name, at %s", first)
			} else {
				l.names[r.Name.value] = location{s.file.name, r.Name.at}
			}
		}
		l.rules = append(l.rules, in.compile(r))
	}
}

// twice reports a name that another document has as well.
func (l *loader) twice(s scope, key text, under string, first map[string]location) bool {
	at, seen := first[key.value]
	if seen {
		s.fault(key.at, under+"."+key.value, "given twice; the first is at %s", at)
	}
	return seen
}

// resolve finds what rules refer to, and makes the set.
func (l *loader) resolve() *Ruleset {
	for _, r := range l.rules {
		for i, name := range r.sources() {
			if !l.sources.has(name) && !l.unread {
				r.scope.fault(r.sourceAt[i], "source", "there is no source %q%s", name, l.hint(name, l.sources.names, "sources"))
			}
		}
		for i := range r.jobs {
			j := &r.jobs[i]
			field := fmt.Sprintf("jobs[%d].target", i)
			switch {
			case l.unread:
			case j.target != "" && !l.targets.has(j.target):
				r.scope.fault(j.targetAt, field, "there is no target %q%s", j.target, l.hint(j.target, l.targets.names, "targets"))
			case j.target != "":
			case len(l.targets.names) == 1:
				j.target = l.targets.names[0]
			case j.misread:
			case len(l.targets.names) == 0:
				r.scope.fault(j.at, field, "no target is defined: a job needs one under targets")
			default:
				r.scope.fault(j.at, field, "required, because there are several: %s", strings.Join(clipList(l.targets.names, 10), ", "))
			}
		}
	}
	return newRuleset(l.sources, l.targets, l.rules)
}

func (l *loader) hint(name string, names []string, under string) string {
	if s := Suggest(name, names); s != "" {
		return s
	}
	if len(names) == 0 {
		return ": nothing is under " + under
	}
	return "; known are " + strings.Join(clipList(names, 10), ", ")
}

func clipList(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), "…")
}
