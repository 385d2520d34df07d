package mapping

import (
	"compress/flate"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// MaxFile is the most bytes of one file. Odd YAML of this size takes the parser
// seconds and some hundred megabytes, and both grow faster than the file.
const MaxFile = 1 << 20

// File is one rules document. Name is only for faults: the path as the user
// wrote it.
type File struct {
	Name string
	Data []byte
	Err  error // why it could not be read, if so: a fault of the file

	// Fence is a document with what the rules of the file may name, and what it may define; nil
	// for everything. Files with the same fence have the same pointer. It has no fence itself.
	Fence *File
}

// Parse merges rules documents into one Ruleset, whose sources are of the providers
// given, and reports every fault of all of them at once: the error, if any, is a
// [Faults], and the Ruleset is nil. Documents with warnings can be used.
func Parse(providers []Provider, files ...File) (*Ruleset, []Fault, error) {
	lang, err := newLanguage()
	if err != nil {
		return nil, nil, fmt.Errorf("rules language: %w", err)
	}
	l := &loader{
		scope: scope{
			findings: &findings{added: map[*yamldoc.File]int{}}, language: lang, schema: newSchema(), providers: providers,
			constants: &constants{vars: lang.vars.values},
		},
		sourceNames: definitions{}, targetNames: definitions{}, ruleNames: definitions{},
		refusedSources: map[string]bool{}, refusedTargets: map[string]bool{},
	}
	if len(files) == 0 {
		l.faults = append(l.faults, Fault{Line: 1, Column: 1, File: "rules", Message: "no rules file given"})
	}
	fences := l.readFences(files)
	for file := range parseAhead(files) {
		l.read(<-file)
	}
	for _, file := range l.files {
		l.define(file)
	}
	for i, file := range l.files {
		l.compileRules(file)
		l.files[i].document = nil // not needed any more
	}
	l.resolve()
	inOrder := append(fences, files...) // a rule may be at fault because its fence is
	if len(l.faults) > 0 {
		sortFaults(l.faults, inOrder)
		return nil, nil, Faults(l.faults)
	}
	if len(l.rules) == 0 {
		l.warnings = append(l.warnings, Fault{
			File: files[0].Name, Line: 1, Column: 1, Field: "rules", Warning: true,
			Message: "there is no rule: nothing will ever be built",
		})
	}
	warnTwins(l.rules)
	warnSharedJobs(l.rules)
	warnMarkers(l.rules)
	l.warnVariables()
	sortFaults(l.warnings, inOrder)
	rules := make([]*rule, len(l.rules))
	for i, r := range l.rules {
		rules[i] = r.rule
	}
	return newRuleset(l.sources, l.targets, rules), l.warnings, nil
}

func newSchema() *yamldoc.Schema {
	s := yamldoc.NewSchema(forms)
	s.Instead = "say it once with vars, defaults or for_each"
	return s
}

// parsedFile is a file that is YAML, or a fault.
type parsedFile struct {
	*yamldoc.File

	fault *yamldoc.Fault
	fence *File // nil for none
}

// parseAhead parses the next file while one is read, and gives the results in order.
// Only two files are in memory as syntax trees, each of which takes fifty times the size
// of its text.
func parseAhead(files []File) <-chan chan parsedFile {
	ahead := make(chan chan parsedFile, 1)
	go func() {
		defer close(ahead)
		for _, f := range files {
			parsed := make(chan parsedFile, 1)
			ahead <- parsed
			go func() { parsed <- parseFile(f) }()
		}
	}()
	return ahead
}

func parseFile(f File) parsedFile {
	fault := &yamldoc.Fault{At: yamldoc.Position{Line: 1, Column: 1}}
	file := &yamldoc.File{Name: f.Name}
	switch {
	case f.Err != nil:
		fault.Message = f.Err.Error()
	case len(f.Data) > MaxFile:
		fault.Message = fmt.Sprintf("the file is larger than %d MiB: split it into several files of one folder", MaxFile>>20)
	default:
		file, fault = yamldoc.Parse(f.Name, f.Data)
		if fault != nil && fault.Empty {
			fault.Message += ": a rules file begins with version: 1"
		}
	}
	return parsedFile{file, fault, f.Fence}
}

// loader merges documents. It lives for one Parse.
type loader struct {
	scope // of no file

	unread bool // some sources or targets may be missing, because they could not be read

	files   []structured
	sources []*Source
	targets []*Target
	rules   []draft

	defaulted []scope    // of the files that have defaults
	written   []variable // once each

	sourceNames, targetNames, ruleNames definitions

	// By name: what a fence forbids. It counts nowhere, and who names it is not at fault.
	refusedSources, refusedTargets map[string]bool

	fences map[*File]*fence

	compressor *flate.Writer // of the text of rules; it is large
}

// structured is a file whose structure was read.
type structured struct {
	scope
	*document
}

// draft is a compiled rule, beside the parts of its document that are looked at when all
// files are read.
type draft struct {
	scope

	rule        *rule
	name        yamldoc.Position
	sources     yamldoc.Texts
	jobs        []jobDocument
	concurrency *concurrencyDocument
	report      *reportDocument
}

// findings collects faults and warnings.
type findings struct {
	faults, warnings []Fault

	noOwner  bool                  // a source has a provider of NoOwner; known when rules are compiled
	reported int                   // how often something was at fault
	added    map[*yamldoc.File]int // see maxAdded
}

// scope is what a part of a file is checked with: where faults go, the language of
// expressions, the providers that there are, the file and the rule it is in, and the
// constants of that rule.
type scope struct {
	*findings

	language  *language
	schema    *yamldoc.Schema
	providers providers
	constants *constants
	defaults  *defaults // of the file; nil if it has none
	entry     *entry    // of a for_each; nil if the rule has none
	file      *yamldoc.File
	kept      *ruleFile // of file, while its rules are compiled
	rule      string    // its name, "" outside of rules
	path      string    // of a rule without a name
	fence     *fence    // of the file, nil for none
	costs     *meter    // of the constants of the file
}

func (s scope) fault(at yamldoc.Position, field, format string, args ...any) {
	s.reported++
	f := s.make(at, field, format, args)
	if !s.first(f, at) {
		return
	}
	if name := s.defaults.name(at); name != "" && !s.isDefaults() {
		f.Message += "; the rule can say otherwise, with its own " + name
	}
	s.faults = append(s.faults, f)
}

func (s scope) warn(at yamldoc.Position, field, format string, args ...any) {
	f := s.make(at, field, format, args)
	if f.Warning = true; s.first(f, at) {
		s.warnings = append(s.warnings, f)
	}
}

// first says whether this was not said of another rule that has the same default, or of the
// same for_each.
func (s scope) first(f Fault, at yamldoc.Position) bool {
	return s.defaults.first(f, at) && s.entry.first(f)
}

func (s scope) make(at yamldoc.Position, field, format string, args []any) Fault {
	if path := s.defaults.path(at); path != "" {
		field = path
	} else if s.path != "" {
		field = s.path + "." + field
	}
	f := Fault{
		File: s.file.Name, Line: max(1, int(at.Line)), Column: max(1, int(at.Column)),
		Rule: s.rule, Field: field, Message: fmt.Sprintf(format, args...),
	}
	f.LineText = s.lineOf(f)
	return f
}

// definitions says where each name is defined first.
type definitions map[string]string

// define says whether a name is new. If it is not, that is a fault, and its message ends
// with the place of the first.
func (s scope) define(in definitions, name yamldoc.Text, field, message string) bool {
	first := in[name.Value]
	if first != "" {
		s.fault(name.At, field, "%s %s", message, first)
	} else {
		in[name.Value] = s.file.Name + ":" + name.At.String()
	}
	return first == ""
}

// read reads the structure of a file. Its syntax tree is not kept: it is large.
func (l *loader) read(file parsedFile) {
	s := l.scope
	s.file = file.File
	s.fence, s.costs = l.fences[file.fence], &meter{most: maxConstants}
	if file.fault != nil {
		l.unread, l.language.vars.unread = true, true
		s.fault(file.fault.At, "", "%s", file.fault.Message)
		s.faults[len(s.faults)-1].Unread = true
		return
	}
	doc := new(document)
	faults := file.Decode(s.schema, doc)
	tests := slices.ContainsFunc(faults, func(f yamldoc.Fault) bool { return f.Path == "tests" })
	for _, f := range faults {
		if tests && f.Path == "version" {
			continue // tests have none
		}
		in := s
		in.rule = f.Label
		in.fault(f.At, f.Path, "%s", f.Message)
	}
	// An unknown field may be one of the two, misspelt.
	l.unread = l.unread || doc.Lost("sources", "targets") || doc.Sources.Partial || doc.Targets.Partial || doc.Misread() ||
		doc.Sources.Entries == nil && doc.Misread("sources") || doc.Targets.Entries == nil && doc.Misread("targets")
	l.files = append(l.files, structured{s, doc})
}

// define collects the names that rules of all files may use.
func (l *loader) define(file structured) {
	s, doc := file.scope, file.document
	l.variables(s, doc)
	for i := range doc.Sources.Entries {
		e := &doc.Sources.Entries[i]
		if field := "sources." + e.Key.Value; !s.fence.checkSourceDefinition(s, e.Key) {
			l.refusedSources[e.Key.Value] = true
			s.source(e.Key.Value, &e.Value) // what else is wrong is said too
		} else if s.define(l.sourceNames, e.Key, field, "given twice; the first is at") {
			l.sources = append(l.sources, s.source(e.Key.Value, &e.Value))
		}
	}
	for i := range doc.Targets.Entries {
		e := &doc.Targets.Entries[i]
		if field := "targets." + e.Key.Value; !s.fence.checkTargetDefinition(s, e.Key) {
			l.refusedTargets[e.Key.Value] = true
			s.target(e.Key.Value, &e.Value)
		} else if s.define(l.targetNames, e.Key, field, "given twice; the first is at") {
			l.targets = append(l.targets, s.target(e.Key.Value, &e.Value))
		}
	}
}

// compileRules compiles the rules of a file.
func (l *loader) compileRules(file structured) {
	if file.Defaults != nil {
		checked := file.newDefaults(file.Defaults)
		file.defaults = checked.defaults
		l.defaulted = append(l.defaulted, checked)
	}
	file.kept = l.newRuleFile(file.scope, file.Rules)
	for i := range file.Rules {
		r := &file.Rules[i]
		in := file.scope
		in.rule, in.path = r.Label, r.Path
		if strings.Contains(r.Name.Value, "${") {
			in.fault(r.Name.At, "name", "a name is not worked out: write it without ${…}; for_each adds [owner/name] to it by itself")
		}
		if in.fillIn(r); !in.tooMany() {
			in.rules(r, l.compileRule)
		}
		if in.tooMany() {
			file.fault(r.At, "rules", "defaults and for_each add more than %d values to the rules of this file: split it", maxAdded)
			return
		}
	}
}

func (l *loader) compileRule(in scope, r *ruleDocument) {
	in.workOut(r)
	in.fence.checkRule(in, r)
	if r.Name.At.Known() {
		field, message := "name", "another rule has this name, at"
		if in.entry != nil && in.entry.at.Known() {
			field, message = in.entry.field, fmt.Sprintf("another rule has the name %q, at", clip(r.Name.Value))
		}
		in.define(l.ruleNames, r.Name, field, message)
	}
	compiled := in.compile(r)
	compiled.file, compiled.line, compiled.fence = in.kept, r.At.Line, in.fence.name()
	if in.entry != nil {
		compiled.entry = in.entry.at.Line
	}
	l.rules = append(l.rules, draft{in, compiled, r.Name.At, r.Source, r.Jobs, r.Concurrency, r.Report})
}

// resolve finds what rules refer to.
func (l *loader) resolve() {
	if l.unread {
		return
	}
	sources, targets := sourceNames(l.sources), targetNames(l.targets)
	byName := map[string]*Target{}
	for _, target := range l.targets {
		byName[target.Name] = target
	}
	l.checkFences()
	l.checkIDs()
	from := l.reporters()
	checkSources := func(s scope, list yamldoc.Texts) {
		for _, t := range list {
			switch {
			case t.Value == "", l.refusedSources[t.Value]:
			case l.sourceNames[t.Value] == "":
				s.fault(t.At, "source", "there is no source %q%s", t.Value, hint(t.Value, sources, "sources"))
			default:
				s.fence.checkSource(s, t)
			}
		}
	}
	for _, s := range l.defaulted {
		checkSources(s, s.defaults.worked.Source)
		if t := s.defaults.worked.Target; t.Value != "" && l.targetNames[t.Value] == "" && !l.refusedTargets[t.Value] {
			s.fault(t.At, "target", "there is no target %q%s", t.Value, hint(t.Value, targets, "targets"))
		}
	}
	for _, r := range l.rules {
		checkSources(r.scope, r.sources)
		for i := range r.rule.jobs {
			l.resolveTarget(r, i, targets)
			if l.targetNames[r.rule.jobs[i].target] != "" {
				r.checkTarget(i)
			}
			r.checkPipelineAddress(i, byName[r.rule.jobs[i].target])
		}
		r.checkConcurrency(byName)
		l.resolveReport(r, from, byName)
	}
}

// resolveTarget finds the target of job i among the targets.
func (l *loader) resolveTarget(r draft, i int, targets []string) {
	j, doc, field := &r.rule.jobs[i], &r.jobs[i], fmt.Sprintf("jobs[%d].target", i)
	switch {
	case j.target != "" && (l.targetNames[j.target] != "" || l.refusedTargets[j.target]):
	case j.target != "":
		r.fault(doc.Target.At, field, "there is no target %q%s", j.target, hint(j.target, targets, "targets"))
	case len(targets) == 1:
		j.target = targets[0]
	case doc.Target.Bad, doc.MayHave("target"):
	case len(targets) == 0 && len(l.refusedTargets) > 0: // those are its fault
	case len(targets) == 0:
		r.fault(doc.At, field, "no target is defined: a job needs one under targets")
	default:
		r.fault(doc.At, field, "required, because there are several: %s", firstOf(targets, 10))
	}
}

func hint(name string, names []string, field string) string {
	if s := Suggest(name, names); s != "" {
		return s
	}
	if len(names) == 0 {
		return ": nothing is under " + field
	}
	return "; known are " + firstOf(names, 10)
}

// Suggest gives `; did you mean "x"?` for the candidate that word is likely a
// misspelling of, or "".
func Suggest(word string, candidates []string) string { return yamldoc.Suggest(word, candidates) }

// firstOf prints the first texts of a list for a message.
func firstOf(list []string, most int) string {
	var shown []string
	for _, s := range list[:min(len(list), most)] {
		shown = append(shown, clip(s))
	}
	if len(list) > most {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}
