package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/hostapi"
)

// Head asks the code host of a source for the newest commit of a branch or tag, by its full name: of
// a tag the commit that it is of. It reads the refs of the repository until it finds it, which takes
// a minute at most.
//
// The error says what is wrong and what to do about it. It is [mapping.ErrNoHead] if to ask again
// gives the same; it is anything else, for example a *[hostapi.Refusal], if the host could not be
// asked.
func (t *Trigger) Head(ctx context.Context, source, repository, ref string) (commit string, err error) {
	h := t.host(source)
	if h == nil {
		return "", fmt.Errorf("%w: source %q has no api, so its code host cannot be asked: name the commit, or give the source an api",
			mapping.ErrNoHead, source)
	}
	s := &headSearch{wanted: ref}
	err = h.API.Refs(ctx, repository, s.look)
	refusal, refused := errors.AsType[*hostapi.Refusal](err)
	switch {
	case s.commit != "":
		return s.commit, nil
	case refused && refusal.Fate == hostapi.FateFinal:
		return "", fmt.Errorf("%w: source %q: %w", mapping.ErrNoHead, source, err)
	case err != nil:
		return "", fmt.Errorf("source %q: %w", source, err)
	}
	return "", fmt.Errorf("%w: %s", mapping.ErrNoHead, s.missing(repository))
}

// headSearch looks for a ref among those of a repository, and for what else may have been meant.
type headSearch struct {
	wanted, commit string
	likely, less   []string // similar names, at most maxSimilar of each
	other          string   // the ref of the same name that is a tag in place of a branch, or the other way round
	any            bool     // whether there are refs of the kind
}

const maxSimilar = 5

var errFound = errors.New("found")

func (s *headSearch) look(r hostapi.Ref) error {
	if r.Name == s.wanted {
		s.commit = r.Commit
		return errFound
	}
	what, wanted := kindOf(s.wanted)
	other, name := kindOf(r.Name)
	switch {
	case other != what && name == wanted:
		s.other = other
	case other != what:
	case len(s.likely) < maxSimilar && mapping.Suggest(wanted, []string{name}) != "":
		s.likely = append(s.likely, shown(name))
	case len(s.less) < maxSimilar && contain(strings.ToLower(name), strings.ToLower(wanted)):
		s.less = append(s.less, shown(name))
	}
	s.any = s.any || other == what
	return nil
}

// kindOf gives the name of a branch or a tag, and which of them it is.
func kindOf(ref string) (what, name string) {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag", tag
	}
	return "branch", strings.TrimPrefix(ref, "refs/heads/")
}

func shown(name string) string { return printable.Text(printable.Clip(name, 100)) }

func contain(a, b string) bool { return strings.Contains(a, b) || strings.Contains(b, a) }

// missing says that the ref is not there, and what is.
func (s *headSearch) missing(repository string) string {
	what, wanted := kindOf(s.wanted)
	text := fmt.Sprintf("%s has no %s %q", printable.Text(repository), what, wanted)
	similar := slices.Concat(s.likely, s.less)
	switch {
	case s.other != "":
		text += fmt.Sprintf(", but a %s of that name", s.other)
	case len(similar) > 0:
		text += "; similar: " + strings.Join(similar[:min(len(similar), maxSimilar)], ", ")
	case !s.any:
		text += ", and none at all"
	}
	return text
}
