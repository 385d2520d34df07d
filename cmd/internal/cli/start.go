package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

type buildsStart struct {
	adminFlags `embed:""`

	Source     string   `required:"" placeholder:"NAME" help:"Source of the rules that the repository belongs to."`
	Repository string   `required:"" placeholder:"NAME" help:"Repository, such as acme/shop."`
	Branch     string   `placeholder:"NAME" help:"Branch to build; or give --tag."`
	Tag        string   `placeholder:"NAME" help:"Tag to build."`
	Commit     string   `placeholder:"SHA" help:"Whole id of the commit; without it, the code host is asked for the newest."`
	Rule       []string `placeholder:"NAME" help:"Rule that builds; can be repeated. Default: all that match."`
	Reason     string   `placeholder:"TEXT" help:"Why, for those who look at the builds later."`
	DryRun     bool     `help:"Say what would be built, and build nothing."`
	Wait       bool     `help:"Wait for the ends of the builds, and fail if one does not succeed."`
}

func (buildsStart) Help() string {
	return adminHelp + `

Starts what a push of the branch, or the tag, would build by the rules in force: for a delivery that never came, or for once more.
It prints what each rule says, and the builds. Which files changed is not known, so unknown_paths of a rule decides. Without
--commit, the newest commit of the branch is built, if the source has an api.

With --wait there is a line for each change of a build, until all have ended. Ctrl-C leaves them running.

The exit code is 1 if nothing is built; with --wait, if a build did not succeed.

Examples:

    buildbridge builds start --source github --repository acme/shop --branch main --reason "the webhook was off"
    buildbridge builds start --source github --repository acme/shop --tag v1.4.0 --rule release --wait
    buildbridge builds start --source github --repository acme/shop --branch main --dry-run`
}

// Run starts builds.
func (c *buildsStart) Run(ctx context.Context, env *Environment) error {
	switch {
	case (c.Branch == "") == (c.Tag == ""):
		return usageError("give either --branch or --tag")
	case c.DryRun && c.Wait:
		return usageError("--dry-run starts nothing to --wait for")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	s, err := c.start(ctx, api)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(env.Stdout, s); err != nil {
			return err
		}
	} else {
		c.print(env, s)
	}
	switch {
	case buildsNothing(s):
		return errReported
	case c.Wait:
		delivery := s.Delivery
		if s.Of != "" {
			delivery = s.Of
		}
		return (&waiting{env: env, api: api, delivery: delivery, json: c.JSON}).wait(ctx)
	}
	return nil
}

// buildsNothing reports whether no rule matches, or every build is dead on arrival.
func buildsNothing(s handlers.Started) bool {
	for _, b := range s.Builds {
		if b.Reason == "" {
			return false
		}
	}
	for _, b := range s.Planned {
		if b.Dead == "" {
			return false
		}
	}
	return s.Of == ""
}

const (
	// startTries is how often a start is sent if it is not known whether it was taken: it has a key, so
	// that the bridge takes it once.
	startTries = 3
	startPause = time.Second // between two tries
)

func (c *buildsStart) start(ctx context.Context, api *client) (s handlers.Started, err error) {
	body := admin.Start{
		Source: c.Source, Repository: c.Repository, Branch: c.Branch, Tag: c.Tag, Commit: c.Commit,
		Rules: c.Rule, Reason: c.Reason, DryRun: c.DryRun,
	}
	api.header = http.Header{admin.IdempotencyKey: {uuid.NewString()}}
	defer func() { api.header = nil }()
	for n, unknown := 1, false; ; n++ {
		s = handlers.Started{}
		err := api.send(ctx, http.MethodPost, "/builds", nil, body, &s)
		answer, answered := errors.AsType[refusedError](err)
		if err == nil || answered && (answer.status < http.StatusInternalServerError ||
			answer.ours && answer.status == http.StatusBadGateway) { // the code host did not answer it
			return s, err
		}
		// If nobody listens, nothing was started by this try.
		refused := strings.Contains(err.Error(), "connection refused")
		if unknown = unknown || !refused; !unknown {
			return s, err
		}
		if n < startTries {
			select {
			case <-time.After(startPause):
				continue
			case <-ctx.Done():
			}
		}
		if c.DryRun {
			return s, err
		}
		return s, fmt.Errorf("%w; whether it was started is not known: look at the newest of \"buildbridge builds list\"", err)
	}
}

// print says what the rules said and what is built.
func (c *buildsStart) print(env *Environment, s handlers.Started) {
	at := ""
	if s.Commit != "" {
		at = " at " + s.Commit
	}
	if s.Of != "" {
		env.printf("this was started before, as delivery %s\n", s.Of)
		return
	}
	env.printf("%s, %s%s\n", printable.Text(s.Repository), printable.Text(shortRef(s.Ref)), at)
	env.verdicts(s.Rules)
	switch {
	case s.Outcome == string(store.Ignored):
		env.printf("nothing to build: %s\n", s.Reason)
	case c.DryRun:
		env.planned(s.Planned)
		env.complain("A dry run: nothing was started.")
	default:
		for _, b := range s.Builds {
			env.printf("build %s of rule %q, %s %s%s\n", b.ID, b.Rule, b.Action, b.JobID, dead(b.Reason))
		}
	}
}

func dead(reason string) string {
	if reason == "" {
		return ""
	}
	return ": dead: " + printable.Text(reason)
}

// planned prints builds that would be started.
func (e *Environment) planned(builds []handlers.Planned) {
	for _, b := range builds {
		e.printf("  would build rule %q, %s %s on target %q%s\n", b.Rule, b.Action, b.JobID, b.Target, dead(b.Dead))
		for _, p := range b.Parameters {
			e.printf("    %s = %s\n", p.Name, printable.Text(p.Value))
		}
	}
}

// waiting waits for the ends of the builds of a delivery.
type waiting struct {
	env      *Environment
	api      *client
	delivery string
	json     bool
}

// wait prints a line for each change of a build. Its error says that one did not succeed.
func (w *waiting) wait(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	lines, known, failure := newWatchLines(w.env), map[string]admin.Build{}, ""
	write := lines.line
	if w.json {
		write = lines.json
	} else if err := lines.head(); err != nil {
		return err
	}
	for {
		builds, err := w.builds(ctx)
		switch text := said(err); {
		case ctx.Err() != nil:
			w.env.complain("Not waiting any more: the builds go on. See: buildbridge builds list --delivery " + w.delivery)
			return errReported
		case isFinal(err):
			return fmt.Errorf("%w: not waiting any more, the builds go on", err)
		case text != failure:
			if failure = text; text != "" {
				w.env.complain("buildbridge builds start: " + text + ": asking again")
			}
		}
		open, failed := 0, 0
		for _, b := range builds {
			if was, ok := known[b.ID]; !ok || hasChanged(&was, &b) {
				if err := write(&b); err != nil {
					return err
				}
			}
			known[b.ID] = b
			switch {
			case isOpen(&b):
				open++
			case b.Result != store.Success:
				failed++
			}
		}
		switch {
		case err != nil, open > 0:
		case len(builds) == 0:
			w.env.complain("buildbridge builds start: the delivery " + w.delivery + " has no builds any more")
			return errReported
		case failed > 0:
			w.env.complain(fmt.Sprintf("%s of %d did not succeed%s", printable.Count(failed, "build"), len(builds), w.notFollowed(builds)))
			return errReported
		default:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// isFinal reports whether the bridge refuses the question, and will again.
func isFinal(err error) bool {
	answer, ok := errors.AsType[refusedError](err)
	return ok && answer.status < http.StatusInternalServerError && answer.status != http.StatusTooManyRequests
}

// notFollowed explains builds whose results nobody asks for.
func (w *waiting) notFollowed(builds []admin.Build) string {
	for _, b := range builds {
		if b.State == store.Started && b.Result == store.NoResult {
			return fmt.Sprintf(": builds of target %q are not followed (follow: false)", b.Target)
		}
	}
	return ""
}

func (w *waiting) builds(ctx context.Context) (builds []admin.Build, err error) {
	page := url.Values{"delivery": {w.delivery}, "limit": {fmt.Sprint(store.MaxPage)}}
	for {
		var got admin.BuildPage
		if err := w.api.ask(ctx, http.MethodGet, "/builds", page, &got); err != nil {
			return nil, err
		}
		builds = append(builds, got.Builds...)
		if got.Next == "" {
			return builds, nil
		}
		page.Set("after", got.Next)
	}
}
