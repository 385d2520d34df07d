package mapping

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// maxAdded is the most values that defaults and for_each add to a file: each is compiled.
const maxAdded = 1_000_000

// add counts values that are added to the file.
func (s scope) add(values int) { s.added[s.file] += values }

func (s scope) tooMany() bool { return s.added[s.file] > maxAdded }

// defaults are those of a file, and where their values are.
type defaults struct {
	*defaultsDocument

	worked   defaultsDocument // with its constants, but those of each
	paths    map[yamldoc.Position]string
	reported map[Fault]bool // what was said of them, without rule and field
}

// newDefaults checks what does not depend on rules: that is said once, and of defaults that
// no rule takes too. It gives the scope in which the rest is checked.
func (s scope) newDefaults(doc *defaultsDocument) scope {
	d := &defaults{doc, *doc, map[yamldoc.Position]string{}, map[Fault]bool{}}
	d.place(s.schema, reflect.ValueOf(doc).Elem(), "defaults")
	s.path, s.defaults = "defaults", d
	doc = &d.worked
	s.workOut(doc)
	s.repositoryClause(doc.Repository)
	s.condition(doc.If, "if")
	s.concurrency(doc.Concurrency, new(clauses))
	for i := range doc.Parameters.Entries {
		if p := &doc.Parameters.Entries[i]; p.Key.Value == doc.Marker.Value && !doc.Marker.Bad {
			s.fault(p.Key.At, "parameters."+p.Key.Value, "parameter %q is the marker: it gets the build's id, and takes no value", p.Key.Value)
		}
	}
	for name, list := range map[string][]yamldoc.Entry[yamldoc.Text]{
		"parameters": doc.Parameters.Entries, "variables": doc.Variables.Entries,
	} {
		for i := range list {
			p, field := &list[i], name+"."+list[i].Key.Value
			s.warnValue(s.template(p.Value, field), p.Value.At, field, new(clauses))
		}
	}
	return s
}

// place notes the places of the values of a struct.
func (d *defaults) place(schema *yamldoc.Schema, v reflect.Value, path string) {
	for _, f := range schema.Fields(v.Type()) {
		field, at := v.Field(f.Index), path+"."+f.Name
		switch value := field.Addr().Interface().(type) {
		case *yamldoc.Texts:
			for i := range *value {
				d.paths[(*value)[i].At] = at
			}
		case *yamldoc.Map[yamldoc.Text]:
			for i := range value.Entries {
				e := &value.Entries[i]
				d.paths[e.Key.At], d.paths[e.Value.At] = at+"."+e.Key.Value, at+"."+e.Key.Value
			}
		default:
			if field.Kind() != reflect.Pointer {
				d.paths[field.FieldByName("At").Interface().(yamldoc.Position)] = at
			} else if !field.IsNil() {
				d.paths[field.Elem().FieldByName("At").Interface().(yamldoc.Position)] = at
				d.place(schema, field.Elem(), at)
			}
		}
	}
	delete(d.paths, yamldoc.Position{})
}

// path is where a value of the defaults is, "" if it is none of theirs.
func (d *defaults) path(at yamldoc.Position) string {
	if d == nil {
		return ""
	}
	return d.paths[at]
}

// name is that of the field that a value of the defaults belongs to, "" if it is none of
// theirs.
func (d *defaults) name(at yamldoc.Position) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(d.path(at), "defaults."), ".")
	return name
}

// isDefaults says whether the defaults are checked, and not a rule that has some of them.
func (s scope) isDefaults() bool { return s.path == "defaults" }

// first says whether this was not said of the defaults before. Faults of one value are the
// same if they are of one kind, and those inside of a text if they say the same.
func (d *defaults) first(f Fault, at yamldoc.Position) bool {
	if d == nil {
		return true
	}
	key := Fault{Line: f.Line, Column: f.Column, Message: f.Message, Warning: f.Warning}
	if d.path(at) != "" {
		key.Message = f.kind()
	}
	said := d.reported[key]
	d.reported[key] = true
	return !said
}

// fillIn gives a rule what it does not say itself. What does not concern the rule is left
// out: it has no effect there.
func (s scope) fillIn(r *ruleDocument) {
	d := s.defaults
	for i := range r.Jobs {
		var of []yamldoc.Entry[yamldoc.Text]
		action := r.Jobs[i].action()
		if d != nil && action == ActionPipeline {
			of = d.Variables.Entries
		} else if d != nil {
			of = d.Parameters.Entries
		}
		s.fillParameters(r.Jobs[i].values(), of, fmt.Sprintf("jobs[%d].%s", i, action.ParametersField()))
	}
	if d == nil {
		return
	}
	r.Constants = r.Constants || d.Constants
	if r.Source == nil && !r.Misread("source") {
		r.Source = d.Source
	}
	if r.Repository == nil && r.ForEach == nil && !r.Misread("repository", "for_each") {
		r.Repository = d.Repository
	}
	fill(&r.If, d.If)
	fill(&r.Owner, d.Owner)
	if r.Report == nil && !r.Misread("report") {
		r.Report = d.Report
	}
	if r.When != nil && r.When.Push != nil {
		if r.Concurrency == nil && !r.Misread("concurrency") {
			r.Concurrency = d.Concurrency
		}
		fill(&r.Once, d.Once)
		if push := r.When.Push; push.Paths != nil || push.PathsIgnore != nil || slices.ContainsFunc(r.Jobs, hasPaths) {
			fill(&push.UnknownPaths, d.UnknownPaths)
		}
		if push := r.When.Push; !push.SkipMarks.At.Known() && !push.Misread("skip_marks") {
			push.SkipMarks = d.SkipMarks
		}
	}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		j.Constants = j.Constants || d.Constants
		fill(&j.Target, d.Target)
		if j.action() == ActionJob {
			fill(&j.BuildType, d.BuildType)
			fill(&j.Marker, d.Marker)
		}
	}
}

func hasPaths(j jobDocument) bool { return j.Paths != nil || j.PathsIgnore != nil }

// fill takes a default for a text that is not written.
func fill(t *yamldoc.Text, of yamldoc.Text) {
	if !t.At.Known() && !t.Bad {
		*t = of
	}
}

// fillParameters merges the parameters of a job into those of the defaults, whose order
// comes first. null leaves one out.
func (s scope) fillParameters(own *yamldoc.Map[yamldoc.Text], of []yamldoc.Entry[yamldoc.Text], field string) {
	if s.add(len(of)); s.tooMany() {
		return
	}
	nothing := func(e yamldoc.Entry[yamldoc.Text]) bool { return e.Value.Null }
	if len(of) == 0 && !slices.ContainsFunc(own.Entries, nothing) {
		return
	}
	place := make(map[string]int, len(own.Entries))
	for i, e := range own.Entries {
		place[e.Key.Value] = i
	}
	merged := make([]yamldoc.Entry[yamldoc.Text], 0, len(of)+len(own.Entries))
	known := make(map[string]bool, len(of))
	for _, e := range of {
		known[e.Key.Value] = true
		if i, ok := place[e.Key.Value]; ok {
			e = own.Entries[i]
		}
		merged = append(merged, e)
	}
	for _, e := range own.Entries {
		switch {
		case known[e.Key.Value]:
		case e.Value.Null:
			s.fault(e.Value.At, field+"."+e.Key.Value,
				`want text, this is nothing; write "" for empty text. Nothing leaves out a default, and there is none of this name`)
		default:
			merged = append(merged, e)
		}
	}
	own.Entries = slices.DeleteFunc(merged, nothing)
}
