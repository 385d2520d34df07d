package mapping

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"buildbridge/mapping/printable"
)

// maxExpanded bounds the values that aliases may add to a file.
const maxExpanded = 1_000_000

// decoder turns the syntax tree of one file into its document. It goes on after
// a fault, so that one load finds all of them.
type decoder struct {
	file    *sourceFile
	shapes  shapes
	report  func(Fault)
	anchors map[string]ast.Node

	count int // of faults

	path []string // of the value being decoded, inside the rule if there is one
	rule string

	expanding int // aliases we are inside of
	expanded  int
	overflow  bool

	lost   int  // times that a tag took fields of the maps around it
	hidden bool // names of sources or targets may be among what was not read
}

func (d *decoder) fault(at place, format string, args ...any) {
	d.count++
	d.report(Fault{
		File: d.file.name, Line: int(at.line), Column: int(at.column),
		Rule: d.rule, Field: strings.Join(d.path, ""), Message: fmt.Sprintf(format, args...),
	})
}

// guarded makes a panic a fault of the file: the syntax trees of odd input can
// have holes.
func (d *decoder) guarded(s scope, decode func()) {
	defer func() {
		if r := recover(); r != nil {
			d.path, d.rule = nil, ""
			s.unreadable(d.file.place(1, 1), "this YAML cannot be read: %v", r)
		}
	}()
	decode()
}

func (d *decoder) push(name string) {
	if len(d.path) > 0 {
		name = "." + name
	}
	d.path = append(d.path, name)
}

func (d *decoder) pushIndex(i int) { d.path = append(d.path, "["+strconv.Itoa(i)+"]") }

func (d *decoder) pop() { d.path = d.path[:len(d.path)-1] }

// at is where a node begins.
func (d *decoder) at(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return d.at(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.at(m.Key)
	}
	if n != nil {
		if t := n.GetToken(); t != nil && t.Position != nil {
			return d.file.place(t.Position.Line, t.Position.Column)
		}
	}
	return d.file.place(1, 1)
}

// resolve follows anchors, aliases and tags to the value itself. False means
// that a fault was reported. The caller defers the returned function.
func (d *decoder) resolve(n ast.Node) (ast.Node, func(), bool) {
	aliases := 0
	done := func() { d.expanding -= aliases }
	for range 32 {
		switch m := n.(type) {
		case *ast.AnchorNode:
			d.anchors[m.Name.String()] = m.Value
			n = m.Value
		case *ast.AliasNode:
			name := m.Value.String()
			to, ok := d.anchors[name]
			if !ok {
				d.hidden = d.hidden || d.amongNames()
				if strings.ContainsAny(name, "*/.?[") {
					d.fault(d.at(m), "YAML reads an unquoted * as an alias: quote it, '*%s'", name)
				} else {
					d.fault(d.at(m), "no anchor &%s before this alias; if it is a glob, quote it: '*%s'", name, name)
				}
				return nil, done, false
			}
			aliases++
			d.expanding++
			n = to
		case *ast.TagNode:
			tag := m.Start.Value
			if !strings.HasPrefix(tag, "!!") {
				d.swallowed(m.Value)
				d.fault(d.at(m), "YAML reads an unquoted ! as a tag: quote it, '%s'", tag)
				return nil, done, false
			}
			d.fault(d.at(m), "tag %s is not used here: write the value without it", tag)
			return nil, done, false
		default:
			if d.expanding > 0 && !d.expand(1, n) {
				return nil, done, false
			}
			return n, done, true
		}
	}
	d.fault(d.at(n), "an alias leads back to itself")
	return nil, done, false
}

// amongNames says whether the value being decoded can define sources or targets.
func (d *decoder) amongNames() bool {
	return d.rule == "" && (len(d.path) == 0 || len(d.path) == 1 && (d.path[0] == "sources" || d.path[0] == "targets"))
}

// swallowed notes what the parser took for the value of a tag: with nothing
// behind an unquoted !, that is what follows, be it the next fields of a map around
// it or of the document.
func (d *decoder) swallowed(n ast.Node) {
	if _, scalar := n.(ast.ScalarNode); !scalar {
		d.lost++
	}
	fields, _ := pairs(n)
	inRules := d.rule != "" || len(d.path) > 0 && d.path[0] == "rules"
	d.hidden = d.hidden || !inRules || slices.ContainsFunc(fields, func(p *ast.MappingValueNode) bool {
		name := keyText(p)
		return name == "sources" || name == "targets"
	})
}

// expand counts values that were not written where they are. False means that
// there are too many.
func (d *decoder) expand(values int, n ast.Node) bool {
	if d.expanded += values; d.expanded <= maxExpanded {
		return true
	}
	if !d.overflow {
		d.overflow = true
		d.fault(d.at(n), "aliases add more than %d values to this file", maxExpanded)
	}
	return false
}

// value decodes one node into v, which f describes.
func (d *decoder) value(n ast.Node, v reflect.Value, f *field) {
	at := d.at(n)
	n, done, ok := d.resolve(n)
	defer done()
	if !ok {
		return
	}
	if d.expanding == 0 {
		at = d.at(n)
	}
	if hasTab(n) {
		d.fault(at, insideTab)
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *text:
		d.text(n, at, p, f)
		return
	case *texts:
		d.texts(n, at, p, f)
		return
	case *integer:
		d.integer(n, at, p, f)
		return
	case *number:
		d.number(n, at, p, f)
		return
	case *boolean:
		d.boolean(n, at, p)
		return
	case *duration:
		d.duration(n, at, p)
		return
	case *size:
		d.size(n, at, p)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if _, null := n.(*ast.NullNode); null && f != nil && f.null {
			v.Set(reflect.New(v.Type().Elem()))
			v.Interface().(interface{ base() *object }).base().at = at
			return
		}
		into := reflect.New(v.Type().Elem())
		if d.object(n, at, into.Elem()) {
			v.Set(into)
		}
	case reflect.Struct:
		d.object(n, at, v)
	case reflect.Slice:
		if isEntry(v.Type().Elem()) {
			d.entries(n, at, v, f)
		} else {
			d.list(n, at, v, f)
		}
	default:
		panic("mapping: no decoder for " + v.Type().String())
	}
}

// merged gives a map's entries with those of its merge keys, which come last
// and give way to the map's own.
func (d *decoder) merged(n ast.Node, depth int) ([]*ast.MappingValueNode, bool) {
	all, ok := pairs(n)
	if !ok {
		return nil, false
	}
	if !slices.ContainsFunc(all, isMerge) {
		return all, true
	}
	own := make([]*ast.MappingValueNode, 0, len(all))
	names := map[string]bool{}
	for _, p := range all {
		if !isMerge(p) {
			own = append(own, p)
			names[keyText(p)] = true
		}
	}
	for _, p := range all {
		if !isMerge(p) {
			continue
		}
		if depth > 10 {
			d.fault(d.at(p.Key), "merge keys are nested too deeply")
			continue
		}
		from := []ast.Node{p.Value}
		if list, ok := p.Value.(*ast.SequenceNode); ok {
			from = list.Values
		}
		for _, n := range from {
			m, done, ok := d.resolve(n)
			if ok {
				inherited, isMap := d.merged(m, depth+1)
				if !isMap {
					d.fault(d.at(p.Key), "a merge key takes a map or a list of maps, not %s", kindOf(m))
				}
				if !d.expand(len(inherited), p.Key) {
					inherited = nil
				}
				for _, q := range inherited {
					if name := keyText(q); !names[name] {
						names[name] = true
						own = append(own, q)
					}
				}
			}
			done()
		}
	}
	return own, true
}

func isMerge(p *ast.MappingValueNode) bool {
	_, merge := p.Key.(*ast.MergeKeyNode)
	return merge
}

func keyText(p *ast.MappingValueNode) string {
	switch k := p.Key.(type) {
	case *ast.StringNode:
		return k.Value
	default:
		return written(k)
	}
}

// object decodes a map into a document struct.
func (d *decoder) object(n ast.Node, at place, v reflect.Value) bool {
	base := v.Addr().Interface().(interface{ base() *object }).base()
	base.at = at
	count, lost := d.count, d.lost
	entries, ok := d.merged(n, 0)
	unmerged := d.count > count
	if !ok {
		base.wrong = []string{""}
		if _, secret := reflect.TypeAssert[*secretDocument](v.Addr()); secret {
			d.fault(at, "a secret is never written in the file: write {env: NAME} or {file: PATH}")
		} else {
			d.fault(at, "want a map, this is %s", kindOf(n))
		}
		return false
	}
	rule, isRule := reflect.TypeAssert[*ruleDocument](v.Addr())
	if isRule {
		outer := d.path
		if rule.label = ruleName(entries); rule.label != "" {
			d.path, d.rule = nil, rule.label
			defer func() { d.path, d.rule = outer, "" }()
		} else {
			rule.path = strings.Join(d.path, "")
		}
	}
	sh := d.shapes.of(v.Type())
	var seen [32]place
	for _, p := range entries {
		name := keyText(p)
		f, known := sh.byName[name]
		if !known {
			d.push(name)
			d.fault(d.at(p.Key), "unknown field%s", hintField(name, sh.names, v.Type()))
			d.pop()
			d.collect(p.Value)
			base.wrong = append(base.wrong, "")
			continue
		}
		d.push(name)
		if first := seen[f.index]; hasTab(p.Key) {
			d.fault(d.at(p.Key), insideTab)
		} else if first.present() {
			d.fault(d.at(p.Key), "given twice; the first is at %s", location{d.file.name, first})
		} else {
			seen[f.index] = d.at(p.Key)
			if d.expanding > 0 {
				seen[f.index] = at
			}
			before := d.count
			d.value(p.Value, v.Field(f.index), f)
			if d.count > before {
				base.wrong = append(base.wrong, name)
			}
		}
		d.pop()
	}
	if base.lost = unmerged || d.lost > lost; base.lost {
		return true
	}
	for _, f := range sh.fields {
		if f.required && !seen[f.index].present() {
			d.push(f.name)
			d.fault(at, "required")
			d.pop()
		}
	}
	return true
}

// ruleName finds the name of a rule before the rest of it is decoded, so that
// its faults can say it.
func ruleName(entries []*ast.MappingValueNode) string {
	for _, p := range entries {
		if keyText(p) == "name" {
			if s, ok := p.Value.(*ast.StringNode); ok && utf8.RuneCountInString(s.Value) <= 128 {
				return s.Value
			}
		}
	}
	return ""
}

// hintField says what an unknown field may have meant.
func hintField(name string, names []string, t reflect.Type) string {
	if s := Suggest(name, names); s != "" {
		return s
	}
	if t == reflect.TypeFor[ruleDocument]() {
		switch name {
		case "on", "true", "events":
			return `; did you mean "when"?`
		case "branches", "paths", "paths_ignore", "unknown_paths":
			return "; it belongs under when.push"
		case "tags", "semver":
			return "; it belongs under when.tag"
		case "job_id", "parameters", "target", "build_type", "marker":
			return "; it belongs under jobs"
		}
	}
	return "; known are " + strings.Join(names, ", ")
}

// collect keeps the anchors of a value that is not decoded: others may refer to
// them.
func (d *decoder) collect(n ast.Node) {
	switch m := n.(type) {
	case *ast.AnchorNode:
		d.anchors[m.Name.String()] = m.Value
		d.collect(m.Value)
	case *ast.SequenceNode:
		for _, e := range m.Values {
			d.collect(e)
		}
	case *ast.MappingNode:
		for _, p := range m.Values {
			d.collect(p.Value)
		}
	}
}

func isEntry(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "entry[")
}

// entries decodes a map of names into a slice of entry.
func (d *decoder) entries(n ast.Node, at place, v reflect.Value, f *field) {
	all, ok := d.merged(n, 0)
	if !ok {
		d.fault(at, "want a map of names, this is %s", kindOf(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(all), len(all))
	kept := 0
	seen := make(map[string]place, len(all))
	for _, p := range all {
		key := text{value: keyText(p), at: d.at(p.Key)}
		d.push(key.value)
		switch first, twice := seen[key.value]; {
		case hasTab(p.Key):
			d.fault(key.at, insideTab)
		case twice:
			d.fault(key.at, "given twice; the first is at %s", location{d.file.name, first})
		case !isText(p.Key):
			d.fault(key.at, "the name is %s: quote it", kindOf(p.Key))
		default:
			seen[key.value] = key.at
			d.checkName(key, f)
			e := out.Index(kept)
			*e.Field(0).Addr().Interface().(*text) = key
			d.value(p.Value, e.Field(1), nil)
			kept++
		}
		d.pop()
	}
	v.Set(out.Slice(0, kept))
}

func isText(k ast.MapKeyNode) bool {
	s, ok := k.(*ast.StringNode)
	return ok && (!isPlain(s) || plainKind(s.Value, false) == "")
}

// checkName checks a name of a map.
func (d *decoder) checkName(key text, f *field) {
	switch {
	case slices.Contains(f.not, key.value):
		d.fault(key.at, "%s", refusedParameter(key.value))
	case !f.keys.MatchString(key.value):
		d.fault(key.at, "%q is not %s", clip(key.value), f.keyIs)
	case utf8.RuneCountInString(key.value) > f.keyMax:
		d.fault(key.at, "a name has at most %d characters, this has %d", f.keyMax, utf8.RuneCountInString(key.value))
	}
}

// list decodes a list of maps or scalars.
func (d *decoder) list(n ast.Node, at place, v reflect.Value, f *field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if v.Type().Elem() == reflect.TypeFor[secretDocument]() {
			d.fault(at, "want a list of {env: NAME} or {file: PATH}, this is %s", kindOf(n))
		} else {
			d.fault(at, "want a list, this is %s", kindOf(n))
		}
		return
	}
	if f != nil && f.min != nil && len(seq.Values) < int(*f.min) {
		d.fault(at, "the list is empty")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, e := range seq.Values {
		d.pushIndex(i)
		d.value(e, out.Index(i), nil)
		d.pop()
	}
	v.Set(out)
}

func (d *decoder) texts(n ast.Node, at place, p *texts, f *field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		*p = make(texts, 1)
		d.text(n, at, &(*p)[0], f)
		return
	}
	if len(seq.Values) == 0 {
		d.fault(at, "the list is empty: leave the field out to mean all")
		return
	}
	*p = make(texts, len(seq.Values))
	for i, e := range seq.Values {
		d.pushIndex(i)
		d.value(e, reflect.ValueOf(p).Elem().Index(i), f)
		d.pop()
	}
}

func (d *decoder) text(n ast.Node, at place, p *text, f *field) {
	strict := f == nil // the value of a parameter: what any reader may misread
	switch n := n.(type) {
	case *ast.StringNode:
		*p = text{value: n.Value, at: at, plain: isPlain(n)}
		if p.plain {
			if k := plainKind(n.Value, strict); k != "" {
				d.fault(at, "%s is %s to YAML: quote it%s", f.shows(clip(n.Value)), k, f.example(n.Value))
				return
			}
		}
	case *ast.LiteralNode:
		*p = text{value: n.Value.Value, at: at}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		d.fault(at, "%s is %s to YAML: quote it%s", f.shows(clip(written(n))), kindOf(n), f.example(written(n)))
		return
	case *ast.NullNode:
		d.fault(at, `want text, this is nothing; write "" for empty text`)
		return
	default:
		d.fault(at, "want text, this is %s; quote it if it is text", kindOf(n))
		return
	}
	if f == nil {
		return
	}
	length := utf8.RuneCountInString(p.value)
	switch {
	case f.enum != nil && !slices.Contains(f.enum, p.value):
		hint := Suggest(p.value, f.enum)
		if len(f.enum) == 1 {
			hint = ""
		}
		d.fault(at, "%q is not %s%s", clip(p.value), oneOf(f.enum), hint)
	case p.value == "" && (f.min != nil || f.pattern != nil):
		d.fault(at, "empty")
	case f.pattern != nil && !f.pattern.MatchString(p.value):
		d.fault(at, "%s is not %s", f.shows(strconv.Quote(clip(withoutUser(p.value)))), f.is)
	case f.max != nil && length > int(*f.max):
		d.fault(at, "at most %d characters, this has %d", int(*f.max), length)
	case slices.Contains(f.not, p.value):
		d.fault(at, "%s", refusedParameter(p.value))
	}
}

// shows is a text for a fault, unless it may be a secret.
func (f *field) shows(text string) string {
	if f != nil && f.hide {
		return "this"
	}
	return text
}

// example shows how a text is quoted, unless it may be a secret.
func (f *field) example(text string) string {
	if f != nil && f.hide {
		return ""
	}
	return ", " + quoteYAML(text)
}

func (d *decoder) boolean(n ast.Node, at place, p *boolean) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.fault(at, "want true or false, this is %s", kindOf(n))
		return
	}
	*p = boolean{value: b.Value, at: at}
}

func (d *decoder) integer(n ast.Node, at place, p *integer, f *field) {
	i, ok := wholeNumber(n)
	if !ok {
		d.fault(at, "want a whole number, this is %s", shown(n))
		return
	}
	*p = integer{value: i, at: at}
	d.bounds(float64(i), at, f)
}

// wholeNumber reads an integer as YAML 1.2 and JSON write it; 1.0 and 1e3 are
// some, as to the JSON schema.
func wholeNumber(n ast.Node) (int64, bool) {
	v, ok := decimal(n)
	if !ok || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return 0, false
	}
	return int64(v), true
}

var wholeDecimal = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// decimal reads a number. To the parser 1e3 is text.
func decimal(n ast.Node) (float64, bool) {
	if kindOf(n) != "a number" || !wholeDecimal.MatchString(written(n)) {
		return 0, false
	}
	v, err := strconv.ParseFloat(written(n), 64)
	return v, err == nil
}

func (d *decoder) number(n ast.Node, at place, p *number, f *field) {
	v, ok := decimal(n)
	if !ok {
		d.fault(at, "want a number, this is %s", shown(n))
		return
	}
	*p = number{value: v, at: at}
	d.bounds(v, at, f)
}

func (d *decoder) bounds(v float64, at place, f *field) {
	switch {
	case f.above != nil && v <= *f.above:
		d.fault(at, "%v is not over %v", v, *f.above)
	case f.min != nil && f.max != nil && *f.min == *f.max && v != *f.min:
		d.fault(at, "want %v, this is %v", *f.min, v)
	case f.min != nil && v < *f.min:
		d.fault(at, "%v is less than %v", v, *f.min)
	case f.max != nil && v > *f.max:
		d.fault(at, "%v is more than %v", v, *f.max)
	}
}

// Texts with units. The JSON schema uses the patterns as well.
const (
	durationText = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+`
	sizeText     = `([0-9]+) ?(B|kB|KB|MB|KiB|MiB)`
)

var (
	wholeDuration = regexp.MustCompile(`^(?:` + durationText + `)$`)
	wholeSize     = regexp.MustCompile(`^` + sizeText + `$`)
	days          = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)d`)
)

func (d *decoder) duration(n ast.Node, at place, p *duration) {
	if k := kindOf(n); k == "a number" {
		d.fault(at, "%s has no unit: want a duration such as 30s, 5m, 24h or 1d12h", written(n))
		return
	}
	var t text
	d.text(n, at, &t, &field{})
	if !t.at.present() {
		return
	}
	v, err := parseDuration(t.value)
	if err != nil {
		d.fault(at, "%q is not a duration such as 30s, 5m, 24h or 1d12h", clip(t.value))
		return
	}
	*p = duration{value: v, at: at}
}

// parseDuration reads Go's notation with days.
func parseDuration(s string) (time.Duration, error) {
	if !wholeDuration.MatchString(s) {
		return 0, strconv.ErrSyntax
	}
	var bad error
	s = days.ReplaceAllStringFunc(s, func(m string) string {
		v, err := strconv.ParseFloat(strings.TrimSuffix(m, "d"), 64)
		if err != nil {
			bad = err
		}
		return strconv.FormatFloat(v*24, 'f', -1, 64) + "h"
	})
	if bad != nil {
		return 0, bad
	}
	return time.ParseDuration(s)
}

func (d *decoder) size(n ast.Node, at place, p *size) {
	v, ok := wholeNumber(n)
	if !ok {
		if kindOf(n) == "a number" {
			d.fault(at, "want a whole number of bytes, or text such as 25MiB, this is %s", shown(n))
			return
		}
		var t text
		d.text(n, at, &t, &field{})
		if !t.at.present() {
			return
		}
		if v, ok = parseSize(t.value); !ok {
			d.fault(at, "%q is not a size: a number of bytes, or text such as 25MiB or 10MB", clip(t.value))
			return
		}
	}
	const lowest, highest = 1 << 10, 100 << 20
	if v < lowest || v > highest {
		d.fault(at, "%d bytes: want 1KiB to 100MiB", v)
		return
	}
	*p = size{bytes: v, at: at}
}

func parseSize(s string) (int64, bool) {
	m := wholeSize.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"B": 1, "kB": 1000, "KB": 1000, "MB": 1000_000, "KiB": 1 << 10, "MiB": 1 << 20}[m[2]]
	if err != nil || v > math.MaxInt64/unit {
		return 0, false
	}
	return v * unit, true
}

// refusedParameter says why CodeArts Build takes no parameter of this name; the
// lists are those of its page "Execute the build job".
func refusedParameter(name string) string {
	switch name {
	case "LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "path", "BASH_ENV", "GIT_SSH_COMMAND":
		return "CodeArts Build forbids a parameter of this name"
	default:
		return "CodeArts Build sets this parameter itself: choose another name"
	}
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return strconv.Quote(words[0])
	}
	return "one of " + strings.Join(words, ", ")
}

// clip shortens text for a message.
func clip(s string) string { return printable.Clip(s, 80) }

// withoutUser takes user and password out of an address: a fault is logged.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return s
	}
	return scheme + "://[hidden]" + rest[at:]
}

// quoteYAML writes text as a quoted scalar.
func quoteYAML(s string) string { return "'" + strings.ReplaceAll(clip(s), "'", "''") + "'" }
