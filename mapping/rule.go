package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
)

// maxValue is the most characters that CodeArts Build takes as the value of a
// parameter (its page "Execute the build job").
const maxValue = 8192

// rule is a checked rule, ready to match.
type rule struct {
	name       string
	sources    []string // nil means all
	repository globs    // lower case
	push       *pushClause
	tag        *tagClause
	condition  *expression // nil means true
	jobs       []job
	newest     bool

	// Where it is written, for faults and warnings.
	scope    scope
	at       place
	sourceAt []place
}

type pushClause struct {
	branches    globs
	paths       globs
	ignore      globs
	skipUnknown bool
}

type tagClause struct {
	tags       globs
	constraint *constraint // nil means any
}

type job struct {
	id         string
	target     string
	parameters []parameter
	buildType  bool
	marker     string

	at, targetAt place
	misread      bool // a target may be written that could not be read
}

type parameter struct {
	name  string
	value template
}

// template is text with expressions in it.
type template []part

// part is literal text, or an expression.
type part struct {
	literal    string
	expression *expression
}

// compile checks a rule as a whole. What it refers to is resolved when all
// files are read.
func (s scope) compile(doc *ruleDocument) *rule {
	r := &rule{name: doc.Name.value, newest: doc.Concurrency.value == "newest", scope: s, at: doc.at}
	if doc.Name.at.present() {
		r.at = doc.Name.at
	}
	for _, t := range doc.Source {
		if t.at.present() {
			r.sources = append(r.sources, t.value)
			r.sourceAt = append(r.sourceAt, t.at)
		}
	}
	r.repository = s.globs(doc.Repository, "repository", repositoryNames)
	if when := doc.When; when != nil {
		if when.Push == nil && when.Tag == nil && !when.doubts("push", "tag") {
			s.fault(when.at, "when", "name push, tag or both")
		}
		r.push = s.push(when.Push)
		r.tag = s.tag(when.Tag)
	}
	r.condition = s.condition(doc.If)
	for i := range doc.Jobs {
		r.jobs = append(r.jobs, s.job(&doc.Jobs[i], i))
	}
	s.warnRule(r, doc)
	return r
}

func (s scope) push(doc *pushDocument) *pushClause {
	if doc == nil {
		return nil
	}
	return &pushClause{
		branches:    s.globs(doc.Branches, "when.push.branches", branchNames),
		paths:       s.globs(doc.Paths, "when.push.paths", pathNames),
		ignore:      s.globs(doc.PathsIgnore, "when.push.paths_ignore", pathNames),
		skipUnknown: doc.UnknownPaths.value == "skip",
	}
}

func (s scope) tag(doc *tagDocument) *tagClause {
	if doc == nil {
		return nil
	}
	c := &tagClause{tags: s.globs(doc.Tags, "when.tag.tags", tagNames)}
	if doc.Semver.at.present() && doc.Semver.value != "" {
		var err error
		if c.constraint, err = s.constraint(doc.Semver.value); err != nil {
			s.fault(doc.Semver.at, "when.tag.semver", "%v", err)
		}
	}
	return c
}

func (s scope) condition(t text) *expression {
	if !t.at.present() || t.value == "" {
		return nil
	}
	const field = "if"
	if strings.HasPrefix(t.value, "${") {
		s.fault(t.at, field, "this is an expression already: write it without ${…}")
		return nil
	}
	e, faults := s.language.compile(t.value)
	for _, f := range faults {
		s.fault(s.file.inside(t, f.offset), field, "%s", f.message)
	}
	if e != nil && !e.mayBe(types.BoolKind) {
		s.fault(t.at, field, "the result is %s, not a boolean", e.result)
		return nil
	}
	return e
}

func (s scope) job(doc *jobDocument, i int) job {
	field := indexed("jobs", i)
	j := job{
		id: doc.JobID.value, target: doc.Target.value, buildType: doc.BuildType.value == "auto", marker: doc.Marker.value,
		at: doc.at, targetAt: doc.Target.at, misread: doc.doubts("target"),
	}
	for k := range doc.Parameters {
		p := &doc.Parameters[k]
		if p.Key.value == j.marker && j.marker != "" {
			s.fault(p.Key.at, field+".parameters."+p.Key.value, "this is the marker: it gets the build's id, and takes no value")
		}
		j.parameters = append(j.parameters, parameter{p.Key.value, s.template(p.Value, field+".parameters."+p.Key.value)})
	}
	return j
}

// template checks the value of a parameter.
func (s scope) template(t text, field string) template {
	if !t.at.present() {
		return nil
	}
	if known, ok := s.templates[t.value]; ok {
		return known
	}
	before := len(s.faults)
	segments, err := splitTemplate(t.value)
	if err != nil {
		s.fault(s.file.inside(t, err.offset), field, "%s", err.message)
	}
	out := make(template, 0, len(segments))
	length, refused := 0, ""
	for _, seg := range segments {
		if !seg.isExpr {
			length += utf8.RuneCountInString(seg.literal)
			refused = cmp.Or(refused, neverSent(seg.literal))
			out = append(out, part{literal: seg.literal})
			continue
		}
		e, faults := s.language.compile(seg.expression)
		for _, f := range faults {
			s.fault(s.file.inside(t, seg.offset+f.offset), field, "%s", f.message)
		}
		if e != nil && !e.mayBe(types.StringKind, types.IntKind, types.UintKind, types.BoolKind) {
			s.fault(s.file.inside(t, seg.offset), field, "the result is %s, not a string, an integer or a boolean", e.result)
		}
		out = append(out, part{expression: e})
	}
	if length > maxValue {
		s.fault(t.at, field, "a value has at most %d characters, this has %d", maxValue, length)
	}
	if refused != "" {
		s.fault(t.at, field, "%s; in YAML, write long text as a folded block (>-)", refused)
	}
	if len(s.faults) == before {
		s.templates[t.value] = out
	}
	return out
}

// neverSent says why s is not sent, "" if it may be. U+FFFD is what decoders write
// for bytes that are not UTF-8: nobody knows what was meant.
func neverSent(s string) string {
	for _, c := range s { // as which bytes that are not UTF-8 read, too
		switch {
		case c == utf8.RuneError:
			return "the value has a character that was not UTF-8 (U+FFFD)"
		case unicode.IsControl(c):
			return fmt.Sprintf("the value has a control character (%s)", controlName(c))
		}
	}
	return ""
}

func controlName(c rune) string {
	switch c {
	case '\n', '\r':
		return "a line break"
	case '\t':
		return "a tab"
	default:
		return fmt.Sprintf("%U", c)
	}
}

// value evaluates a parameter. An error means that there is no right value.
func (t template) value(m *meter, ev *Event) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.expression == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := m.format(p.expression, ev)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
	}
	v := b.String()
	if n := utf8.RuneCountInString(v); n > maxValue {
		return "", fmt.Errorf("the value has %d characters, at most %d are taken", n, maxValue)
	}
	if why := neverSent(v); why != "" {
		return "", errors.New(why)
	}
	return v, nil
}

// globNames is what a list of globs is compared with.
type globNames int

const (
	repositoryNames globNames = iota
	branchNames
	tagNames
	pathNames
)

// globs checks an ordered list of patterns. Those of repositories are made lower
// case.
func (s scope) globs(list texts, field string, names globNames) globs {
	if len(list) == 0 {
		return nil
	}
	out := make(globs, 0, len(list))
	told := false
	for i, t := range list {
		if t.value == "" { // reported
			continue
		}
		at := field
		if len(list) > 1 {
			at = indexed(field, i)
		}
		g, err := newGlob(t.value)
		if err != nil {
			s.fault(t.at, at, "%v", err)
			continue
		}
		if why := names.misses(g.pattern); why != "" {
			s.warn(t.at, at, "%s", why)
			g.misses, told = true, true
		}
		if names == repositoryNames {
			g.pattern = strings.ToLower(g.pattern)
			if err := checkGlob(g.pattern); err != nil {
				s.fault(t.at, at, "compared without case, %v", err)
			}
		}
		out = append(out, g)
	}
	if !told && out.excludesAll() {
		s.warn(list[len(list)-1].at, field, "no name can match %s: the last pattern excludes all", out)
	}
	return out
}

// misses says why a pattern never matches what it is compared with, "" if it
// may.
func (n globNames) misses(pattern string) string {
	switch n {
	case repositoryNames:
		switch {
		case strings.Contains(pattern, "://") || strings.HasPrefix(pattern, "git@"):
			return "this never matches: a repository is owner/name, not an address"
		case !strings.Contains(pattern, "/") && !strings.Contains(pattern, "**"):
			return "this never matches: a repository is owner/name"
		}
	case branchNames:
		if strings.HasPrefix(pattern, "refs/") {
			return "this never matches: write the short name of the branch, without refs/heads/"
		}
	case tagNames:
		if strings.HasPrefix(pattern, "refs/") {
			return "this never matches: write the short name of the tag, without refs/tags/"
		}
	case pathNames:
		switch {
		case strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "./"):
			return "this never matches: a path begins with the first folder, without / or ./"
		case strings.HasSuffix(pattern, "/"):
			return "this never matches: a path is that of a file; write " + pattern + "** for all files of the folder"
		}
	}
	return ""
}

// hasSource says whether a rule takes events of a source.
func (r *rule) hasSource(name string) bool {
	return r.sources == nil || slices.Contains(r.sources, name)
}
