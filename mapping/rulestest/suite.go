package rulestest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/internal/yamldoc"
)

// Suite is the tests of one file.
type Suite struct {
	File  string
	Cases []*Case
}

// Case is one test. It never changes.
type Case struct {
	Name         string
	File         string
	Line, Column int // where it begins, from 1

	doc caseDocument
}

// Parse reads a file of tests. The name is for faults. The error is a [mapping.Faults] with
// every fault of the file, and no test of it can be run then. A file has at most
// [mapping.MaxFile] bytes.
func Parse(name string, data []byte) (*Suite, error) {
	r := &reader{suite: &Suite{File: name}}
	if len(data) > mapping.MaxFile {
		r.fault(yamldoc.Position{Line: 1, Column: 1}, "", "", "the file is larger than %d MiB: split it", mapping.MaxFile>>20)
		return nil, r.faults
	}
	file, fault := yamldoc.Parse(name, data)
	if fault != nil {
		if fault.Empty {
			fault.Message += ": a file of tests begins with tests:"
		}
		r.fault(fault.At, "", "", "%s", fault.Message)
		return nil, r.faults
	}
	schema := yamldoc.NewSchema(forms)
	schema.Instead = "write each test out"
	doc := new(document)
	for _, f := range file.Decode(schema, doc) {
		r.fault(f.At, f.Label, f.Path, "%s", f.Message)
	}
	first := map[string]yamldoc.Position{}
	for i := range doc.Tests {
		c := &doc.Tests[i]
		if at, twice := first[c.Label]; twice && c.Label != "" {
			r.fault(c.Name.At, c.Label, "name", "another test has this name, at %s:%v", name, at)
		} else {
			first[c.Label] = c.Name.At
		}
		r.check(c)
		r.suite.Cases = append(r.suite.Cases, &Case{
			Name: c.Name.Value, File: name, Line: int(c.At.Line), Column: int(c.At.Column), doc: *c,
		})
	}
	if len(r.faults) > 0 {
		r.sort()
		return nil, r.faults
	}
	return r.suite, nil
}

var objectID = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// reader collects the tests and the faults of a file.
type reader struct {
	suite  *Suite
	faults mapping.Faults
}

// fault adds a fault of a test, "" for one of the file.
func (r *reader) fault(at yamldoc.Position, test, field, format string, args ...any) {
	if test != "" {
		field = strings.TrimSuffix(fmt.Sprintf("test %q: %s", test, field), ": ")
	}
	r.faults = append(r.faults, mapping.Fault{
		File: r.suite.File, Line: max(1, int(at.Line)), Column: max(1, int(at.Column)), Field: field, Message: fmt.Sprintf(format, args...),
	})
}

// sort gives the faults the order of the file.
func (r *reader) sort() {
	slices.SortStableFunc(r.faults, func(a, b mapping.Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
}

// check says what is wrong with a test that its fields alone do not tell.
func (r *reader) check(c *caseDocument) {
	fault := func(at yamldoc.Position, field, format string, args ...any) {
		if c.Label == "" {
			field = c.Path + "." + field
		}
		r.fault(at, c.Label, field, format, args...)
	}
	switch {
	case c.Event != nil && c.Delivery != nil:
		fault(c.Delivery.At, "delivery", "a test has an event or a delivery, not both")
	case c.Event == nil && c.Delivery == nil && !c.MayHave("event", "delivery"):
		fault(c.At, "event", "required: an event, or a delivery")
	}
	switch {
	case c.Ignored.At.Known() && len(c.Builds) > 0:
		fault(c.Ignored.At, "ignored", "a test has builds or ignored, not both")
	case !c.Ignored.At.Known() && c.Builds == nil && !c.MayHave("builds", "ignored"):
		fault(c.At, "builds", "required; [] if nothing is built")
	}
	e := c.Event
	if e == nil {
		return
	}
	switch {
	case e.Branch.At.Known() && e.Tag.At.Known():
		fault(e.Tag.At, "event.tag", "an event has a branch or a tag, not both")
	case !e.Branch.At.Known() && !e.Tag.At.Known() && !e.MayHave("branch", "tag"):
		fault(e.At, "event.branch", "required: a branch, or a tag")
	}
	for _, ref := range []struct {
		field, prefix string
		yamldoc.Text
	}{{"branch", "refs/heads/", e.Branch}, {"tag", "refs/tags/", e.Tag}} {
		if !ref.At.Known() || ref.Bad {
			continue
		}
		if strings.HasPrefix(ref.Value, "refs/") {
			fault(ref.At, "event."+ref.field, "%q: write the short name of the %s", ref.Value, ref.field)
		} else if err := mapping.CheckRef(ref.prefix + ref.Value); err != nil {
			fault(ref.At, "event."+ref.field, "%q %v", ref.Value, err)
		}
	}
	for _, id := range []struct {
		field string
		yamldoc.Text
	}{{"commit", e.Commit}, {"before", e.Before}} {
		if id.Value != "" && !id.Bad && !objectID.MatchString(id.Value) {
			fault(id.At, "event."+id.field, "%q is not the id of a commit: 40 or 64 hexadecimal digits", id.Value)
		}
	}
	if e.FilesComplete.At.Known() && e.Tag.At.Known() {
		fault(e.FilesComplete.At, "event.files_complete", "a tag has no files")
	}
	if e.Files != nil && e.Tag.At.Known() {
		fault(e.At, "event.files", "a tag has no files")
	}
}
