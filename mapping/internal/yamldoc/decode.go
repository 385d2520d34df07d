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

// Decode fills the struct of a map with the document, and gives all faults of it. What
// is at fault is left out. It can be called once: the syntax tree is large, and not kept.
func (f *File) Decode(s *Schema, into Document) (faults []Fault) {
	d := &decoder{file: f, schema: s}
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
	file   *File
	schema *Schema
	faults []Fault

	label string   // of the object that is decoded, "" if it has none
	path  []string // of the value that is decoded, inside of that object

	taken     []string // the fields that tags took for their values
	constants int      // texts of fields with the option "constant" that have ${ in them
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

// plain gives a value without its anchor. Anchors, aliases and tags are reported. False means
// that there is no value.
func (d *decoder) plain(n ast.Node) (ast.Node, bool) {
	for {
		switch m := n.(type) {
		case *ast.AnchorNode:
			d.fault(at(m), "anchors (&%s) are not part of this language%s", m.Name.String(), d.schema.instead())
			n = m.Value
		case *ast.AliasNode:
			switch name := m.Value.String(); {
			case strings.ContainsAny(name, "*/.?["):
				d.fault(at(m), "YAML reads an unquoted * as an alias: quote it, '*%s'", name)
			default:
				d.fault(at(m), "aliases are not part of this language%s; if it is text, quote it: '*%s'", d.schema.instead(), name)
			}
			return nil, false
		case *ast.TagNode:
			d.tag(m)
			return nil, false
		default:
			return n, true
		}
	}
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

// value decodes one node into v.
func (d *decoder) value(n ast.Node, v reflect.Value, f *Field) {
	n, ok := d.plain(n)
	if !ok {
		return
	}
	where := at(n)
	if hasTab(n) {
		d.fault(where, insideTab)
		return
	}
	d.resolved(n, where, v, f)
}

// resolved decodes one node that is neither an anchor nor an alias nor a tag.
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

// entries gives those of a map, without its merge keys, which are reported. False means that
// it is not a map.
func (d *decoder) entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	all, ok := pairs(n)
	if !slices.ContainsFunc(all, isMerge) {
		return all, ok
	}
	own := make([]*ast.MappingValueNode, 0, len(all))
	for _, p := range all {
		if isMerge(p) {
			d.fault(at(p.Key), "merge keys (<<) are not part of this language%s", d.schema.instead())
		} else {
			own = append(own, p)
		}
	}
	return own, ok
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
	entries, isMap := d.entries(n)
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
	ignored := map[string]Position{}        // where each is written first
	for _, p := range entries {
		name := keyText(p)
		d.push(name)
		if f, known := sh.byName[name]; known {
			d.field(p, v, f, o, &first[f.Index])
		} else if sh.ignored != "" && strings.HasPrefix(name, sh.ignored) {
			if before, twice := ignored[name]; twice {
				d.fault(at(p.Key), "given twice; the first is at %s:%v", d.file.Name, before)
			} else {
				ignored[name] = at(p.Key)
			}
			d.ignore(p.Value)
		} else {
			hint, field := misnamed(name, sh, v)
			meant = append(meant, field)
			d.fault(at(p.Key), "unknown field%s", hint)
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

// ignore reports what is not part of the language in a value that is not looked at: a tag can
// have taken the fields behind it.
func (d *decoder) ignore(n ast.Node) {
	n, ok := d.plain(n)
	if !ok {
		return
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, e := range list.Values {
			d.ignore(e)
		}
	}
	entries, _ := d.entries(n)
	for _, p := range entries {
		d.ignore(p.Value)
	}
}

// names decodes a map of names.
func (d *decoder) names(n ast.Node, where Position, into anyMap, f *Field) {
	faults, taken := len(d.faults), len(d.taken)
	all, ok := d.entries(n)
	if len(d.faults) > faults {
		into.partial()
	}
	if !ok {
		into.partial()
		example := ""
		if f.Example != "" {
			example = ": write a line for each, such as " + f.Example
		}
		d.fault(where, "want a map of names, this is %s%s", kindOf(n), example)
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
	if len(seq.Values) == 0 && !f.Empty {
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
