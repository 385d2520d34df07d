package mapping

import (
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// fenceDocument says what the rules of a file may name, and which sources and targets the
// file may define. A list that is left out allows nothing.
type fenceDocument struct {
	yamldoc.Object

	Sources      yamldoc.Texts `yaml:"sources,none" form:"name"`
	Repositories yamldoc.Texts `yaml:"repositories,none" form:"any"` // globs, compared without case
	Targets      yamldoc.Texts `yaml:"targets,none" form:"name"`
	Jobs         yamldoc.Texts `yaml:"jobs,none" form:"job"` // ids of jobs and of pipelines
}

func (*fenceDocument) Misnamed(field string) string {
	switch field {
	case "version", "rules", "defaults", "vars":
		return "this is a fence, not a rules file: it has sources, repositories, targets and jobs"
	case "job_id", "job_ids", "pipelines", "pipeline_id", "pipeline_ids":
		return "jobs"
	default:
		return ""
	}
}

// fence is a checked fenceDocument. A nil fence allows everything.
type fence struct {
	scope // of its file

	sources, targets yamldoc.Texts
	repositories     globs
	jobs             yamldoc.Texts
}

// readFences reads the fences of the files, each once, and gives their files, for the order of
// faults. Nothing is checked by a fence with a fault: its own is to be mended first.
func (l *loader) readFences(files []File) []File {
	var read []File
	l.fences = map[*File]*fence{}
	for _, f := range files {
		if _, known := l.fences[f.Fence]; known || f.Fence == nil {
			continue
		}
		read = append(read, *f.Fence)
		faults := len(l.faults)
		fence := l.readFence(f.Fence)
		if len(l.faults) > faults {
			fence = nil
		}
		l.fences[f.Fence] = fence
	}
	return read
}

func (l *loader) readFence(f *File) *fence {
	s := l.scope
	s.file = &yamldoc.File{Name: f.Name}
	start := yamldoc.Position{Line: 1, Column: 1}
	switch {
	case f.Err != nil:
		s.fault(start, "", "the fence cannot be read: %v", f.Err)
		return nil
	case len(f.Data) > MaxFile:
		s.fault(start, "", "the fence is larger than %d MiB", MaxFile>>20)
		return nil
	}
	file, fault := yamldoc.Parse(f.Name, f.Data)
	s.file = file
	if fault != nil {
		if fault.Empty {
			fault.Message += ": a fence names what is allowed under sources, repositories, targets and jobs"
		}
		s.fault(fault.At, "", "%s", fault.Message)
		return nil
	}
	doc := new(fenceDocument)
	schema := *l.schema
	schema.Instead = "write the value out" // a fence has no vars
	for _, fault := range file.Decode(&schema, doc) {
		s.fault(fault.At, fault.Path, "%s", fault.Message)
	}
	return &fence{s, doc.Sources, doc.Targets, s.globs(doc.Repositories, "repositories", newFoldedGlob, noAddress), doc.Jobs}
}

// checkFences checks, when all files are read, that fences name what is there.
func (l *loader) checkFences() {
	for _, f := range l.fences {
		if f == nil {
			continue
		}
		for _, list := range []struct {
			field   string
			names   yamldoc.Texts
			defined definitions
			refused map[string]bool
			known   []string
		}{
			{"sources", f.sources, l.sourceNames, l.refusedSources, sourceNames(l.sources)},
			{"targets", f.targets, l.targetNames, l.refusedTargets, targetNames(l.targets)},
		} {
			for i, t := range list.names {
				if one := strings.TrimSuffix(list.field, "s"); list.defined[t.Value] == "" && !list.refused[t.Value] {
					f.fault(t.At, indexed(list.field, i), "there is no %s %q%s", one, t.Value, hint(t.Value, list.known, list.field))
				}
			}
		}
	}
}

// name is that of the file, "" for no fence.
func (f *fence) name() string {
	if f == nil {
		return ""
	}
	return f.file.Name
}

// allows says whether a list of a fence has a name.
func allows(list yamldoc.Texts, name string) bool {
	return slices.ContainsFunc(list, func(t yamldoc.Text) bool { return t.Value == name })
}

// only says what a list of the fence allows, for a fault.
func (f *fence) only(of string, list []string) string {
	if len(list) == 0 {
		return fmt.Sprintf("the fence %s, which allows no %s", f.file.Name, of)
	}
	return fmt.Sprintf("the fence %s, which allows %s [%s]", f.file.Name, of, firstOf(list, 10))
}

func (f *fence) onlySources() string { return f.only("sources", values(f.sources)) }
func (f *fence) onlyTargets() string { return f.only("targets", values(f.targets)) }

func values(list yamldoc.Texts) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.Value
	}
	return out
}

// checkSourceDefinition checks that the file of s may define a source. False means that it may not.
func (f *fence) checkSourceDefinition(s scope, name yamldoc.Text) bool {
	if f == nil || allows(f.sources, name.Value) {
		return true
	}
	s.fault(name.At, "sources."+name.Value, "this file may not define the source: it is outside of %s", f.onlySources())
	return false
}

// checkTargetDefinition checks that the file of s may define a target. False means that it may not.
func (f *fence) checkTargetDefinition(s scope, name yamldoc.Text) bool {
	if f == nil || allows(f.targets, name.Value) {
		return true
	}
	s.fault(name.At, "targets."+name.Value, "this file may not define the target: it is outside of %s", f.onlyTargets())
	return false
}

// checkRule checks what a rule names by itself: that it names sources and repositories at
// all, its repositories, and the ids of its jobs.
func (f *fence) checkRule(s scope, doc *ruleDocument) {
	if f == nil {
		return
	}
	if doc.Source == nil && !doc.MayHave("source") {
		s.fault(doc.At, "source", "required here: a rule without source is for every one, and outside of %s", f.onlySources())
	}
	f.checkRepositories(s, doc)
	for i := range doc.Jobs {
		f.checkBuilt(s, &doc.Jobs[i], i)
		if id := doc.Jobs[i].id(); id.Value != "" && !id.Bad && !allows(f.jobs, id.Value) {
			field := fmt.Sprintf("jobs[%d].%s", i, doc.Jobs[i].action().idField())
			s.fault(id.At, field, "%q is outside of %s", clip(id.Value), f.only("jobs", values(f.jobs)))
		}
	}
}

// checkBuilt checks that job i of a rule builds what it is set to. What else it would build, with
// whose rights, and which approvals it would leave out, no list of a fence says.
func (f *fence) checkBuilt(s scope, doc *jobDocument, i int) {
	check := func(t yamldoc.Text, field string) {
		if given(t) {
			s.fault(t.At, fmt.Sprintf("jobs[%d].%s", i, field),
				"the file has the fence %s, so the %s builds what it is set to: leave this out, or write the rule in a file without a fence",
				f.file.Name, doc.action())
		}
	}
	if doc.SCM != nil {
		check(doc.SCM.RepoID, "scm.repo_id")
		check(doc.SCM.URL, "scm.url")
	}
	if len(doc.ChooseStages) > 0 {
		check(doc.ChooseStages[0], "choose_stages")
	}
	for k := range doc.Sources {
		of, field := &doc.Sources[k], fmt.Sprintf("sources[%d].", k)
		check(of.GitURL, field+"git_url")
		check(of.CodehubID, field+"codehub_id")
		check(of.EndpointID, field+"endpoint_id")
	}
}

// checkVariable checks that the file of s may use a variable. What one team writes decides
// nothing in the rules of others: they could get a job that its fence does not have.
func (f *fence) checkVariable(s scope, name string, at yamldoc.Position, field string) {
	if of := s.language.vars.fences[name]; of != nil && of != f {
		s.fault(at, field, "the variable %q is defined at %s, and the fence %s holds it back: only files with that fence may use it",
			clip(name), s.language.vars.places[name], of.file.Name)
	}
}

func (f *fence) checkRepositories(s scope, doc *ruleDocument) {
	list := doc.Repository
	if list == nil {
		if !doc.MayHave("repository") && !f.repositories.cover(globs{{pattern: "**"}}, 0) {
			s.fault(doc.At, repositoryField, "required here: a rule without repository is for every one, and outside of %s",
				f.only("repositories", f.repositories.texts()))
		}
		return
	}
	var patterns globs
	var written yamldoc.Texts
	for _, t := range list {
		if g, err := newFoldedGlob(t.Value); err == nil { // else it is reported as a fault of the rule
			patterns, written = append(patterns, g), append(written, t)
		}
	}
	if len(patterns) == 0 {
		return
	}
	if patterns[0].exclude {
		all := append(globs{{pattern: "**"}}, patterns...)
		if !f.repositories.cover(all, 0) {
			s.fault(written[0].At, repositoryField, "a list that begins with ! has every other repository: it is outside of %s",
				f.only("repositories", f.repositories.texts()))
		}
	}
	for i := range patterns {
		if patterns[i].exclude || f.repositories.cover(patterns, i) {
			continue
		}
		at := repositoryField
		if len(list) > 1 {
			at = indexed(repositoryField, i)
		}
		what := "is"
		if !patterns[i].literal {
			what = "may match repositories that are"
		}
		s.fault(written[i].At, at, "%q %s outside of %s", clip(written[i].Value), what, f.only("repositories", f.repositories.texts()))
	}
}

// checkSource checks a source that a rule names, and that is defined.
func (f *fence) checkSource(s scope, t yamldoc.Text) {
	if f != nil && !allows(f.sources, t.Value) {
		s.fault(t.At, sourceField, "%q is outside of %s", clip(t.Value), f.onlySources())
	}
}

// checkTarget checks the target of job i, which is defined, whether the rule names it or it is the only one.
func (r *draft) checkTarget(i int) {
	target, doc := r.rule.jobs[i].target, &r.jobs[i]
	if r.fence == nil || target == "" || allows(r.fence.targets, target) {
		return
	}
	at, what := doc.Target.At, fmt.Sprintf("%q is", target)
	if !at.Known() {
		at, what = doc.At, fmt.Sprintf("the only target, %q, is", target)
	}
	r.fault(at, fmt.Sprintf("jobs[%d].target", i), "%s outside of %s", what, r.fence.onlyTargets())
}

// cover says whether it is certain that the list takes every name that the pattern at i of
// list decides to take: every name that matches it, and that no later pattern of list
// excludes. False means that it is not, or not plain to see. A list without patterns takes
// nothing here.
func (gs globs) cover(list globs, i int) bool {
	if len(gs) == 0 {
		return false
	}
	var excluded globs // what the list excludes from the pattern
	for _, g := range list[i+1:] {
		if g.exclude {
			excluded = append(excluded, g)
		}
	}
	inner := &list[i]
	// No later pattern of gs takes away what is in.
	kept := func(later globs) bool {
		return !slices.ContainsFunc(later, func(out glob) bool {
			return out.exclude && !out.disjoint(inner) && !slices.ContainsFunc(excluded, func(x glob) bool { return x.contains(&out) })
		})
	}
	for k := range slices.Backward(gs) {
		if !gs[k].exclude && gs[k].contains(inner) {
			return kept(gs[k+1:])
		}
	}
	return gs.startsFromAll() && kept(gs)
}

// contains says whether it is certain that g matches every name that inner matches, both
// without their !.
func (g *glob) contains(inner *glob) bool {
	switch {
	case g.pattern == "**", g.pattern == inner.pattern:
		return true
	case inner.literal:
		return g.match(inner.pattern)
	}
	begins := inner.pattern[:strings.IndexAny(inner.pattern, special)]
	if folder, ok := strings.CutSuffix(g.pattern, "/**"); ok && literal(folder) {
		// What begins with folder/ matches folder itself, or names in it.
		return strings.HasPrefix(begins, folder+"/")
	}
	if segment, ok := strings.CutSuffix(g.pattern, "*"); ok && literal(segment) && strings.HasPrefix(begins, segment) {
		// Of what is behind it, only these match no '/'. A class may.
		rest := inner.pattern[len(segment):]
		return !strings.ContainsAny(rest, `/[{\`) && !strings.Contains(rest, "**")
	}
	return false
}

// disjoint says whether it is certain that no name matches both, without their !.
func (g *glob) disjoint(o *glob) bool {
	switch {
	case g.literal:
		return !o.match(g.pattern)
	case o.literal:
		return !g.match(o.pattern)
	default:
		return !strings.HasPrefix(g.prefix, o.prefix) && !strings.HasPrefix(o.prefix, g.prefix)
	}
}

func literal(pattern string) bool { return !strings.ContainsAny(pattern, special) }
