package yamldoc

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// Limits of aliases and merge keys in one file.
const (
	maxExpanded = 1_000_000 // values that they add
	maxAliases  = 32        // in a chain: an alias of an alias
	maxMerges   = 10        // merge keys inside of what is merged
)

// Decode fills the struct of a map with the document, and gives all faults of it. What
// is at fault is left out. It can be called once: the syntax tree is large, and not kept.
func (f *File) Decode(s *Schema, into Document) (faults []Fault) {
	d := &decoder{file: f, schema: s, anchors: map[string]ast.Node{}}
	o := into.object()
	defer func() {
		if r := recover(); r != nil { // the syntax trees of odd input can have holes
			o.partial = true
			d.faults = append(d.faults, Fault{At: position(1, 1), Message: fmt.Sprintf("this YAML cannot be read: %v", r)})
		}
		f.root, faults = nil, d.faults
	}()
	d.value(f.root, reflect.ValueOf(into).Elem(), &Field{})
	o.partial = o.partial || !o.At.Known()
	return nil
}

// decoder goes on after a fault, so that it finds all of them.
type decoder struct {
	file    *File
	schema  *Schema
	anchors map[string]ast.Node
	faults  []Fault

	label string   // of the object that is decoded, "" if it has none
	path  []string // of the value that is decoded, inside of that object

	aliases  int      // that the value is inside of
	expanded int      // values that aliases added
	taken    []string // the fields that tags took for their values

	constants int // texts of fields with the option "constant" that have ${ in them
}

func (d *decoder) fault(at Position, format string, args ...any) {
	d.faults = append(d.faults, Fault{At: at, Label: d.label, Path: strings.Join(d.path, ""), Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) push(name string) {
	if len(d.path) > 0 {
		name = "." + name
	}
	d.path = append(d.path, name)
}

func (d *decoder) pop() { d.path = d.path[:len(d.path)-1] }

// at is where a node begins.
func at(n ast.Node) Position {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return at(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return at(m.Key)
	}
	if n == nil {
		return position(1, 1)
	}
	return tokenPosition(n.GetToken())
}

// resolve follows anchors and aliases to the value itself. False means that a fault was
// reported. The caller defers the function, which leaves the aliases again.
func (d *decoder) resolve(n ast.Node) (ast.Node, func(), bool) {
	aliases := 0
	leave := func() { d.aliases -= aliases }
	for range maxAliases {
		switch m := n.(type) {
		case *ast.AnchorNode:
			d.anchors[m.Name.String()] = m.Value
			n = m.Value
		case *ast.AliasNode:
			name, known := m.Value.String(), false
			if n, known = d.anchors[name]; !known {
				if strings.ContainsAny(name, "*/.?[") {
					d.fault(at(m), "YAML reads an unquoted * as an alias: quote it, '*%s'", name)
				} else {
					d.fault(at(m), "no anchor &%s before this alias; if it is text, quote it: '*%s'", name, name)
				}
				return nil, leave, false
			}
			aliases++
			d.aliases++
		case *ast.TagNode:
			d.tag(m)
			return nil, leave, false
		default:
			return n, leave, d.aliases == 0 || d.expand(1, n)
		}
	}
	d.fault(at(n), "an alias leads back to itself")
	return nil, leave, false
}

// tag reports a tag. With nothing behind an unquoted !, the parser takes what follows for
// the tagged value: the next fields of this map, or of one around it.
func (d *decoder) tag(n *ast.TagNode) {
	tag := n.Start.Value
	if strings.HasPrefix(tag, "!!") {
		d.fault(at(n), "tag %s is not used here: write the value without it", tag)
		return
	}
	if _, scalar := n.Value.(ast.ScalarNode); !scalar {
		d.taken = append(d.taken, "")
	}
	fields, _ := pairs(n.Value)
	for _, p := range fields {
		d.taken = append(d.taken, keyText(p))
	}
	d.fault(at(n), "YAML reads an unquoted ! as a tag: quote it, '%s'", tag)
}

// expand counts values that aliases add. False means that there are too many.
func (d *decoder) expand(values int, n ast.Node) bool {
	before := d.expanded
	d.expanded += values
	if before <= maxExpanded && d.expanded > maxExpanded {
		d.fault(at(n), "aliases add more than %d values to this file", maxExpanded)
	}
	return d.expanded <= maxExpanded
}

// value decodes one node into v. A fault of the value that an alias stands for is
// reported at the alias.
func (d *decoder) value(n ast.Node, v reflect.Value, f *Field) {
	where := at(n)
	n, leave, ok := d.resolve(n)
	defer leave()
	if !ok {
		return
	}
	if d.aliases == 0 {
		where = at(n) // behind an anchor
	}
	if hasTab(n) {
		d.fault(where, insideTab)
		return
	}
	d.resolved(n, where, v, f)
}

// resolved decodes one node that is neither an anchor nor an alias.
func (d *decoder) resolved(n ast.Node, where Position, v reflect.Value, f *Field) {
	switch into := v.Addr().Interface().(type) {
	case *Text:
		d.text(n, where, into, f)
	case *Texts:
		d.texts(n, where, into, f)
	case *Integer:
		d.integer(n, where, into, f)
	case *Number:
		d.number(n, where, into, f)
	case *Boolean:
		d.boolean(n, where, into)
	case *Duration:
		d.duration(n, where, into, f)
	case *Size:
		d.size(n, where, into, f)
	case anyMap:
		d.names(n, where, into, f)
	default:
		d.structured(n, where, v, f)
	}
}

func (d *decoder) structured(n ast.Node, at Position, v reflect.Value, f *Field) {
	switch v.Kind() {
	case reflect.Pointer:
		into := reflect.New(v.Type().Elem())
		if _, null := n.(*ast.NullNode); null && f.Null {
			into.Interface().(Document).object().At = at
			v.Set(into)
		} else if d.object(n, at, into.Elem()) {
			v.Set(into)
		}
	case reflect.Struct:
		d.object(n, at, v)
	case reflect.Slice:
		d.list(n, at, v, f)
	default:
		panic("yamldoc: no decoder for " + v.Type().String())
	}
}

// merged gives the entries of a map and those of its merge keys, which come last and
// give way to the map's own. False means that it is not a map.
func (d *decoder) merged(n ast.Node, depth int) ([]*ast.MappingValueNode, bool) {
	all, ok := pairs(n)
	if !ok || !slices.ContainsFunc(all, isMerge) {
		return all, ok
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
		switch {
		case !isMerge(p):
			continue
		case depth > maxMerges:
			d.fault(at(p.Key), "merge keys are nested too deeply")
			continue
		}
		from := []ast.Node{p.Value}
		if list, ok := p.Value.(*ast.SequenceNode); ok {
			from = list.Values
		}
		for _, n := range from {
			for _, q := range d.inherited(n, p.Key, depth) {
				if name := keyText(q); !names[name] {
					names[name] = true
					own = append(own, q)
				}
			}
		}
	}
	return own, true
}

// inherited gives the entries of one map that a merge key names.
func (d *decoder) inherited(n ast.Node, key ast.MapKeyNode, depth int) []*ast.MappingValueNode {
	m, leave, ok := d.resolve(n)
	defer leave()
	if !ok {
		return nil
	}
	entries, isMap := d.merged(m, depth+1)
	if !isMap {
		d.fault(at(key), "a merge key takes a map or a list of maps, not %s", kindOf(m))
	}
	if !d.expand(len(entries), key) {
		return nil
	}
	return entries
}

func isMerge(p *ast.MappingValueNode) bool {
	_, merge := p.Key.(*ast.MergeKeyNode)
	return merge
}

func keyText(p *ast.MappingValueNode) string {
	if k, ok := p.Key.(*ast.StringNode); ok {
		return k.Value
	}
	return written(p.Key)
}

// object decodes a map, or the scalar that may stand in place of it, into its struct.
// False means that it is neither.
func (d *decoder) object(n ast.Node, where Position, v reflect.Value) bool {
	o := v.Addr().Interface().(Document).object()
	o.At = where
	defer func(before int) { o.Constants = d.constants > before }(d.constants)
	faults, taken := len(d.faults), len(d.taken)
	entries, isMap := d.merged(n, 0)
	o.partial = len(d.faults) > faults
	sh := d.schema.of(v.Type())
	if !isMap {
		d.scalar(n, where, v, sh.scalar)
		if len(d.faults) == faults {
			return true
		}
		o.bad = []string{""}
		return false
	}
	defer d.enter(o, sh.label, entries)()
	first := make([]Position, v.NumField()) // of each field
	var meant []string                      // fields that are likely there, misspelt
	for _, p := range entries {
		name := keyText(p)
		d.push(name)
		if f, known := sh.byName[name]; known {
			d.field(p, v, f, o, &first[f.Index])
		} else {
			hint, field := misnamed(name, sh, v)
			meant = append(meant, field)
			d.fault(at(p.Key), "unknown field%s", hint)
			d.collect(p.Value)
			o.bad = append(o.bad, "")
		}
		d.pop()
	}
	if o.taken = d.taken[taken:]; o.lost() {
		return true
	}
	for _, f := range sh.fields {
		if f.Required && !first[f.Index].Known() && !slices.Contains(meant, f.Name) {
			d.push(f.Name)
			d.fault(where, "required")
			d.pop()
		}
	}
	return true
}

// scalar decodes what stands in place of a map. f is nil if nothing may.
func (d *decoder) scalar(n ast.Node, where Position, v reflect.Value, f *Field) {
	switch form, why := shapeOf(v); {
	case f != nil && kindOf(n) == f.kind:
		d.resolved(n, where, v.Field(f.Index), f)
	case f != nil:
		d.fault(where, "want %s or a map, this is %s", strings.Join(f.words(), ", "), kindOf(n))
	case form != "":
		d.fault(where, "%s: write %s", why, form)
	default:
		d.fault(where, "want a map, this is %s", kindOf(n))
	}
}

// field decodes one field of an object; first is where it is written first.
func (d *decoder) field(p *ast.MappingValueNode, v reflect.Value, f *Field, o *Object, first *Position) {
	switch {
	case hasTab(p.Key):
		d.fault(at(p.Key), insideTab)
		return
	case first.Known():
		d.fault(at(p.Key), "given twice; the first is at %s:%v", d.file.Name, *first)
		return
	}
	*first = at(p.Key)
	if d.aliases > 0 {
		*first = o.At
	}
	faults := len(d.faults)
	d.value(p.Value, v.Field(f.Index), f)
	if len(d.faults) > faults {
		o.bad = append(o.bad, f.Name)
	}
}

// enter makes the label of an object the beginning of the paths of faults, until the
// function it gives is called.
func (d *decoder) enter(o *Object, label *Field, entries []*ast.MappingValueNode) (leave func()) {
	if label == nil {
		return func() {}
	}
	path, outer := d.path, d.label
	for _, p := range entries {
		s, ok := p.Value.(*ast.StringNode)
		if ok && s.Value != "" && keyText(p) == label.Name && (label.Form == nil || utf8.RuneCountInString(s.Value) <= label.Form.Max) {
			o.Label, d.label, d.path = s.Value, s.Value, nil
			return func() { d.path, d.label = path, outer }
		}
	}
	o.Path = strings.Join(path, "")
	return func() {}
}

// misnamed says what an unknown field may mean, and which field of the object that is,
// if it is one.
func misnamed(name string, sh *shape, v reflect.Value) (hint, field string) {
	if field = closest(name, sh.names); field != "" {
		return Suggest(name, sh.names), field
	}
	if m, ok := reflect.TypeAssert[interface{ Misnamed(string) string }](v.Addr()); ok {
		hint = m.Misnamed(name)
	}
	switch {
	case hint == "":
		return "; known are " + strings.Join(sh.names, ", "), ""
	case sh.byName[hint] != nil:
		return "; did you mean " + strconv.Quote(hint) + "?", hint
	default:
		return "; " + hint, ""
	}
}

// shapeOf says what has to be written for an object, and why, if it says so.
func shapeOf(v reflect.Value) (form, why string) {
	if s, ok := reflect.TypeAssert[interface{ Shape() (form, why string) }](v.Addr()); ok {
		return s.Shape()
	}
	return "", ""
}

// collect keeps the anchors of a value that is not decoded: aliases may name them.
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

// names decodes a map of names.
func (d *decoder) names(n ast.Node, where Position, into anyMap, f *Field) {
	faults, taken := len(d.faults), len(d.taken)
	all, ok := d.merged(n, 0)
	if len(d.faults) > faults {
		into.partial()
	}
	if !ok {
		into.partial()
		d.fault(where, "want a map of names, this is %s", kindOf(n))
		return
	}
	entries := reflect.ValueOf(into).Elem().FieldByName("Entries")
	out := reflect.MakeSlice(entries.Type(), len(all), len(all))
	kept := 0
	first := make(map[string]Position, len(all))
	for _, p := range all {
		key := Text{Value: keyText(p), At: at(p.Key)}
		d.push(key.Value)
		switch before, twice := first[key.Value]; {
		case hasTab(p.Key):
			d.fault(key.At, insideTab)
		case twice:
			d.fault(key.At, "given twice; the first is at %s:%v", d.file.Name, before)
		case kindOf(p.Key) != "text":
			d.fault(key.At, "the name is %s: quote it", kindOf(p.Key))
		default:
			first[key.Value] = key.At
			d.check(&key, f.Keys)
			e := out.Index(kept)
			e.Field(0).Set(reflect.ValueOf(key))
			d.value(p.Value, e.Field(1), &Field{Strict: f.Strict, Null: f.Null, Keys: f.Values})
			kept++
		}
		d.pop()
	}
	entries.Set(out.Slice(0, kept))
	if len(d.taken) > taken {
		into.partial()
	}
}

// list decodes a list of maps.
func (d *decoder) list(n ast.Node, where Position, v reflect.Value, f *Field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		of := ""
		if form, _ := shapeOf(reflect.New(v.Type().Elem()).Elem()); form != "" {
			of = " of " + form
		}
		d.fault(where, "want a list%s, this is %s", of, kindOf(n))
		return
	}
	if f.Min != nil && len(seq.Values) < int(*f.Min) {
		d.fault(where, "the list is empty")
		return
	}
	d.elements(seq, v, &Field{})
}

func (d *decoder) texts(n ast.Node, where Position, into *Texts, f *Field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		*into = make(Texts, 1)
		d.text(n, where, &(*into)[0], f)
		return
	}
	if len(seq.Values) == 0 {
		d.fault(where, "the list is empty: leave the field out to mean %s", f.absent())
		return
	}
	d.elements(seq, reflect.ValueOf(into).Elem(), f)
}

func (d *decoder) elements(list *ast.SequenceNode, v reflect.Value, f *Field) {
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, e := range list.Values {
		d.path = append(d.path, "["+strconv.Itoa(i)+"]")
		d.value(e, v.Index(i), f)
		d.pop()
	}
}
