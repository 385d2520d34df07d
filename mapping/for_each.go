package mapping

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"buildbridge/mapping/internal/yamldoc"
)

// entry is one repository of a for_each. The zero value is of one that could not be read.
type entry struct {
	*forEach

	at      yamldoc.Position // of its name
	field   string
	known   bool            // all of its values were read
	missing map[string]bool // values that it does not have, and that were told
}

// forEach is what the repositories of a for_each share.
type forEach struct {
	names    []string        // of the values of all repositories
	used     map[string]bool // those of names that the rule uses
	reported map[Fault]bool  // without rule and field
}

// first says whether this was not said of another repository before.
func (e *entry) first(f Fault) bool {
	if e == nil || e.forEach == nil {
		return true
	}
	key := Fault{Line: f.Line, Column: f.Column, Message: f.Message, Warning: f.Warning}
	said := e.reported[key]
	e.reported[key] = true
	return !said
}

// rules gives the rules that a rule is written for: itself, or one for each repository of its
// for_each. They share what they do not change.
func (s scope) rules(r *ruleDocument, give func(scope, *ruleDocument)) {
	if r.ForEach == nil {
		if r.Misread("for_each") {
			s.entry = new(entry)
		}
		give(s, r)
		return
	}
	if r.Repository != nil {
		s.fault(r.Repository[0].At, "repository", "not beside for_each, which names the repositories: remove one of the two")
	}
	list := r.ForEach.Repository.Entries
	if len(list) == 0 && !r.ForEach.MayHave("repository") {
		s.fault(r.ForEach.At, "for_each.repository", "empty: name at least one repository, with its values")
	}
	if s.add(countAdded(r)); s.tooMany() {
		return
	}
	all, known := &forEach{[]string{"repository"}, map[string]bool{}, map[Fault]bool{}}, map[string]bool{"repository": true}
	for i := range list {
		for k := range list[i].Value.Entries {
			if name := list[i].Value.Entries[k].Key.Value; !known[name] {
				all.names, known[name] = append(all.names, name), true
			}
		}
	}
	names, given := definitions{}, 0
	for i := range list {
		if in, one := s.forEntry(r, all, &list[i], names); one != nil {
			give(in, one)
			given++
		}
	}
	if given == 0 { // what else is wrong is said too
		s.entry = new(entry)
		give(s, r)
		return
	}
	s.warnUnused(all, list)
}

// warnUnused finds values of repositories that the rule does not use: one warning for each name.
func (s scope) warnUnused(all *forEach, list []yamldoc.Entry[yamldoc.Map[yamldoc.Text]]) {
	type value struct {
		name, field string
		at          yamldoc.Position
		others      int
	}
	var unused []*value
	byName := map[string]*value{}
	for i := range list {
		for k := range list[i].Value.Entries {
			key := list[i].Value.Entries[k].Key
			if v := byName[key.Value]; v != nil {
				v.others++
			} else if !all.used[key.Value] {
				v = &value{name: key.Value, field: "for_each.repository." + list[i].Key.Value + "." + key.Value, at: key.At}
				unused, byName[v.name] = append(unused, v), v
			}
		}
	}
	for _, v := range unused {
		more := ""
		if v.others > 0 {
			more = fmt.Sprintf(" (nor %d more of its name)", v.others)
		}
		s.warn(v.at, v.field, "the rule does not use this value%s: write ${each.%s} where it belongs, or remove it%s",
			more, v.name, Suggest(v.name, slices.Sorted(maps.Keys(all.used))))
	}
}

// forEntry gives the rule for one repository, nil if it is at fault.
func (s scope) forEntry(
	r *ruleDocument, all *forEach, e *yamldoc.Entry[yamldoc.Map[yamldoc.Text]], names definitions,
) (scope, *ruleDocument) {
	repository, field := e.Key.Value, "for_each.repository."+e.Key.Value
	folded := e.Key
	folded.Value = strings.ToLower(repository)
	switch why := s.noRepository(repository); {
	case e.Key.Bad:
		return s, nil
	case repository != literalPrefix(repository) || strings.HasPrefix(repository, "!"):
		s.fault(e.Key.At, field, "this is a glob: for_each takes full names of repositories")
		return s, nil
	case why != "":
		s.fault(e.Key.At, field, "%q is none: %s", clip(repository), why)
		return s, nil
	case !s.define(names, folded, field, "given twice, for names of repositories are compared without case; the first is at"):
		return s, nil
	}
	s.entry = &entry{all, e.Key.At, field, !e.Value.Partial, map[string]bool{}}
	s.constants = &constants{s.constants.vars, map[string]string{"repository": repository}}
	for k := range e.Value.Entries {
		value := &e.Value.Entries[k]
		at := field + "." + value.Key.Value
		switch {
		case value.Key.Value == "repository":
			s.fault(value.Key.At, at, "each.repository is the name of the repository: choose another name")
		case s.constantValue(value.Value, at):
			s.constants.each[value.Key.Value] = value.Value.Value
		default:
			s.entry.known = false
		}
	}
	one := *r
	one.ForEach = nil
	one.Repository = yamldoc.Texts{e.Key}
	one.Name = yamldoc.Text{Value: r.Name.Value + "[" + repository + "]", At: e.Key.At, Bad: r.Name.Bad}
	if r.Label != "" {
		s.rule = one.Name.Value
	}
	if n := utf8.RuneCountInString(one.Name.Value); n > maxRuleName {
		s.fault(e.Key.At, field, "the name of its rule is %q: at most %d characters, this has %d", clip(one.Name.Value), maxRuleName, n)
	}
	return s, &one
}

// countAdded counts the values of the rules that a rule with for_each is written for.
func countAdded(r *ruleDocument) int {
	one := *r
	one.ForEach = nil // the rules do not have it
	return len(r.ForEach.Repository.Entries)*countTexts(reflect.ValueOf(one)) + countTexts(reflect.ValueOf(r.ForEach))
}

// countTexts counts the texts of a part of a document.
func countTexts(v reflect.Value) int {
	if v.Type() == reflect.TypeFor[yamldoc.Text]() {
		return 1
	}
	n := 0
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = countTexts(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += countTexts(v.Index(i))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			n += countTexts(field)
		}
	default: // no texts inside
	}
	return n
}

// checkConstants says which values of each that an expression uses are not there, and which
// variables are held back by a fence. The expression begins at an offset of a text.
func (s scope) checkConstants(e *expression, t yamldoc.Text, offset int, field string) {
	for _, u := range e.uses {
		if u.of == varsName {
			s.fence.checkVariable(s, u.name, s.file.Inside(t, offset+u.offset), field)
		}
		if u.of != eachName || s.isDefaults() || s.entry != nil && s.entry.forEach == nil {
			continue
		}
		_, ok := s.constants.each[u.name]
		if s.entry != nil {
			s.entry.used[u.name] = true
		}
		at := s.file.Inside(t, offset+u.offset)
		switch {
		case ok:
		case s.entry == nil:
			s.fault(at, field, "each is there only in a rule with for_each")
		case !slices.Contains(s.entry.names, u.name):
			s.fault(at, field, "no repository of for_each has a value %q%s", clip(u.name), hint(u.name, s.entry.names, "for_each"))
		case s.entry.known && !s.entry.missing[u.name]:
			s.entry.missing[u.name] = true
			s.fault(s.entry.at, s.entry.field, "it has no value %q, which the rule uses at %v", clip(u.name), at)
		default:
			s.reported++ // it was said
		}
	}
}
