package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"buildbridge/mapping/printable"
)

// manyFlags are those of a command that changes everything that matches a filter.
type manyFlags struct {
	Yes    bool `help:"With a filter: do not ask first."`
	DryRun bool `help:"With a filter: say how many match, and which, and change nothing."`
	Limit  int  `default:"0" placeholder:"N" help:"With a filter: change at most N, the oldest; 0 for all."`
}

// change is what is done to all that match a filter.
type change struct {
	verb, doing, done string // what is done: replay, replaying, replayed
	what              string // to what: build

	// find counts those that match, in words such as "dead", and shows the first of them.
	find func(ctx context.Context) (found, error)
	// page changes a page of them, with the parameters limit and after, and prints what became of
	// each. It returns how many were changed, how many could not be, and the cursor of the next
	// page.
	page func(ctx context.Context, page url.Values) (done, failed int, next string, err error)
	// all is printed as JSON at the end; nil if page has printed it all.
	all any
}

// found are those that match a filter.
type found struct {
	count int64
	words string                  // more about them, such as "dead"; may be ""
	show  func(w io.Writer) error // writes the first of them, the oldest first, as a table
	shown int                     // how many that are
	json  any                     // the same as JSON
}

// byFilter reports whether what is to be changed is named by a filter; else it is by ids. It
// refuses a wrong command line, before the bridge is asked.
func (f *manyFlags) byFilter(env *Environment, c change, ids []string, filter url.Values, example string) (bool, error) {
	what := printable.Plural(c.what)
	switch {
	case len(ids) == 0 && len(filter) == 0:
		return false, usageError("name " + what + " by their ids or by a filter, such as " + example)
	case len(ids) > 0 && len(filter) > 0:
		return false, usageError("name " + what + " by their ids or by a filter, not both")
	case len(ids) > 0:
		return false, nil
	case f.Limit < 0:
		return false, usageError("--limit must be 0 or more")
	case !f.Yes && !f.DryRun && !isTerminal(env.Stdin):
		return false, usageError(fmt.Sprintf("%s all %s that match needs --yes if there is no terminal to ask: %s",
			c.doing, what, env.command("--yes")))
	}
	return true, nil
}

// change does it page by page, after it has said how many and which, and asked. The command line
// has been checked.
func (f *manyFlags) change(ctx context.Context, env *Environment, c change) error {
	none := false
	if f.DryRun || !f.Yes {
		n, err := f.ask(ctx, env, c)
		if err != nil || f.DryRun {
			return err
		}
		none, f.Limit = n == 0, n // nobody was asked about what comes meanwhile
	}
	const maxRows = 1000 // of a page
	var failed error
	changed, skipped, page := 0, 0, url.Values{}
	for !none {
		if f.Limit > 0 {
			page.Set("limit", strconv.Itoa(min(maxRows, f.Limit-changed-skipped)))
		}
		did, could, next, err := c.page(ctx, page)
		changed, skipped = changed+did, skipped+could
		if wrong, ok := errors.AsType[usageError](err); ok {
			return wrong
		}
		if failed = err; err != nil || next == "" || f.Limit > 0 && changed+skipped >= f.Limit {
			break
		}
		page.Set("after", next)
	}
	if c.all != nil {
		if err := printJSON(env.Stdout, c.all); err != nil {
			return err
		}
	} else {
		env.complain(printable.Count(changed, c.what) + " " + c.done)
	}
	if failed == nil && skipped > 0 {
		return errReported
	}
	return failed
}

// ask says how many match, and which, and asks whether to go on with n of them. It does not ask
// if there are none, nor in a dry run. A no is an error.
func (f *manyFlags) ask(ctx context.Context, env *Environment, c change) (n int, err error) {
	match, err := c.find(ctx)
	if err != nil {
		return 0, err
	}
	to := env.Stderr
	if f.DryRun {
		if to = env.Stdout; c.all != nil {
			return 0, printJSON(env.Stdout, match.json)
		}
	}
	n = int(match.count)
	if f.Limit > 0 {
		n = min(n, f.Limit)
	}
	line := printable.Count(int(match.count), c.what) + " " + plural(int(match.count), "matches", "match")
	if match.words != "" {
		line += ": " + match.words
	}
	if n > 0 {
		_, _ = fmt.Fprintf(to, "%s, the oldest first\n", line)
		if err := match.show(to); err != nil {
			return 0, err
		}
		if more := int(match.count) - match.shown; more > 0 {
			_, _ = fmt.Fprintf(to, "… and %d more\n", more)
		}
	} else {
		_, _ = fmt.Fprintln(to, line)
	}
	switch {
	case f.DryRun:
		env.complain(fmt.Sprintf("A dry run: %s would be %s.", printable.Count(n, c.what), c.done))
		return n, nil
	case n == 0:
		return 0, nil
	}
	_, _ = fmt.Fprintf(to, "%s %s? [y/N] ", strings.ToUpper(c.verb[:1])+c.verb[1:], printable.Count(n, c.what))
	answer, err := bufio.NewReader(env.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return n, nil
	}
	env.complain("Nothing was " + c.done + ".")
	return 0, errReported
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
