package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// maxText bounds a parameter, in bytes. The names of refs can be long.
const maxText = 4096

// parameters are the parameters that a query may have: by name, a function that reads one.
type parameters map[string]func(value string) error

// read reads a query, and its error has everything that is wrong with it. An unknown
// parameter is wrong: a misspelt filter would select far more than was meant.
func (p parameters) read(r *http.Request) (given url.Values, err error) {
	if given, err = query(r); err != nil {
		return nil, err
	}
	return given, p.take(given)
}

// query is the query of a request.
func query(r *http.Request) (given url.Values, err error) {
	if given, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, fail(http.StatusBadRequest, "the query is malformed")
	}
	return given, nil
}

// take is read for a query that is parsed already.
func (p parameters) take(given url.Values) error {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := p.readOne(name, given[name]); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		return fail(http.StatusBadRequest, "%s", strings.Join(wrong, "; "))
	}
	return nil
}

func (p parameters) readOne(name string, values []string) error {
	set, ok := p[name]
	switch {
	case !ok && len(p) == 0:
		return fmt.Errorf("%q: there are no parameters here", name)
	case !ok:
		return fmt.Errorf("%q: no such parameter; there are %s", name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
	case len(values) > 1:
		return fmt.Errorf("%s: given %d times", name, len(values))
	case values[0] == "":
		return fmt.Errorf("%s: empty", name)
	case len(values[0]) > maxText:
		return fmt.Errorf("%s: longer than %d bytes", name, maxText)
	case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
		return fmt.Errorf("%s: not text", name)
	}
	if err := set(values[0]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func text(to *string) func(string) error {
	return func(value string) error {
		*to = value
		return nil
	}
}

func oneOf[T ~string](to *string, choice ...T) func(string) error {
	return func(value string) error {
		if !slices.Contains(choice, T(value)) {
			names := make([]string, len(choice))
			for i, name := range choice {
				names[i] = string(name)
			}
			return fmt.Errorf("%q is none of %s", value, strings.Join(names, ", "))
		}
		*to = value
		return nil
	}
}

func moment(to *time.Time) func(string) error {
	return func(value string) (err error) {
		if *to, err = time.Parse(time.RFC3339, value); err != nil {
			return fmt.Errorf("%q is not a time such as 2026-01-31T08:00:00Z (RFC 3339)", value)
		}
		return nil
	}
}

func limit(to *int) func(string) error {
	return func(value string) (err error) {
		if *to, err = strconv.Atoi(value); err != nil || *to < 1 || *to > store.MaxPage {
			return fmt.Errorf("%q is not a number from 1 to %d", value, store.MaxPage)
		}
		return nil
	}
}

// tag is the ref of a tag. It is read after ref, which has the same place.
func tag(ref *string) func(string) error {
	return func(value string) error {
		if *ref != "" {
			return errors.New("give ref or tag, not both")
		}
		*ref = "refs/tags/" + strings.TrimPrefix(value, "refs/tags/")
		return nil
	}
}

// commit is the id of a commit, or its beginning.
func commit(to *string) func(string) error {
	return func(value string) error {
		const longest = 64 // a SHA-256
		if len(value) < store.MinCommit || len(value) > longest || strings.Trim(value, "0123456789abcdefABCDEF") != "" {
			return fmt.Errorf("%q is no commit: give its id, or at least the first %d digits of it", value, store.MinCommit)
		}
		*to = value
		return nil
	}
}

func deliveryParameters(f *store.DeliveryFilter) parameters {
	return parameters{
		"source":     text(&f.Source),
		"origin":     oneOf(&f.Origin, mapping.OriginWebhook, mapping.OriginManual, mapping.OriginCatchUp),
		"outcome":    oneOf(&f.Outcome, store.Accepted, store.Ignored, store.Duplicate, rejected),
		"reason":     text(&f.Reason),
		"repository": text(&f.Repository),
		"ref":        text(&f.Ref),
		"tag":        tag(&f.Ref),
		"commit":     commit(&f.Commit),
		"since":      moment(&f.Since),
		"until":      moment(&f.Until),
		"limit":      limit(&f.Limit),
		"after":      text(&f.After),
	}
}

func buildParameters(f *store.BuildFilter) parameters {
	return parameters{
		"state":      oneOf(&f.State, store.States()...),
		"result":     oneOf(&f.Result, store.Results()...),
		"origin":     oneOf(&f.Origin, mapping.OriginWebhook, mapping.OriginManual, mapping.OriginCatchUp),
		"rule":       text(&f.Rule),
		"target":     text(&f.Target),
		"job_id":     text(&f.JobID),
		"repository": text(&f.Repository),
		"ref":        text(&f.Ref),
		"tag":        tag(&f.Ref),
		"commit":     commit(&f.Commit),
		"delivery":   text(&f.Delivery),
		"replay_of":  text(&f.ReplayOf),
		"since":      moment(&f.Since),
		"until":      moment(&f.Until),
		"limit":      limit(&f.Limit),
		"after":      text(&f.After),
	}
}
