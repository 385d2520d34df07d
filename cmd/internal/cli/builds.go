package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

type buildsCommand struct {
	Start  buildsStart  `cmd:"" help:"Start the builds of a branch or tag by hand."`
	List   buildsList   `cmd:"" help:"List builds, the newest first."`
	Show   buildsShow   `cmd:"" help:"Show a build with its end, every attempt and the body of its call."`
	Watch  buildsWatch  `cmd:"" help:"Print a line for each change of a build, until Ctrl-C."`
	Stop   buildsStop   `cmd:"" help:"Stop a build that runs."`
	Cancel buildsCancel `cmd:"" help:"End builds that wait: some by id, or all that match."`
	Replay buildsReplay `cmd:"" help:"Send stored builds again: some by id, or all that match."`
}

// buildFilter selects builds.
type buildFilter struct {
	State  *string `group:"filter" placeholder:"STATE" help:"waiting, calling, unknown, started, dead, superseded or dry_run."`
	Result *string `group:"filter" placeholder:"RESULT" help:"running, success, failure, aborted, timeout or lost."`

	buildOrigin `embed:""`

	Since time.Time `group:"filter" help:"Received since then: how long ago (90m, 7d), a time (RFC 3339) or a day."`
	Until time.Time `group:"filter" help:"Received before then."`
}

func (f *buildFilter) values() url.Values {
	values := f.buildOrigin.values()
	p := parameters(values)
	p.text("state", f.State)
	p.text("result", f.Result)
	p.moment("since", f.Since)
	p.moment("until", f.Until)
	return values
}

// buildOrigin selects builds by what never changes.
type buildOrigin struct {
	Origin     *string `group:"filter" placeholder:"ORIGIN" help:"webhook, manual (started by hand) or catch_up (its delivery never came)."`
	Rule       *string `group:"filter" placeholder:"NAME" help:"Of the rule NAME."`
	Target     *string `group:"filter" placeholder:"NAME" help:"Of the target NAME."`
	JobID      *string `group:"filter" placeholder:"ID" help:"Of the job or pipeline ID."`
	Repository *string `group:"filter" placeholder:"NAME" help:"Of the repository NAME, such as acme/shop."`
	Ref        *string `group:"filter" placeholder:"REF" help:"Of this branch or tag; refs/heads/main is the branch only."`
	Tag        *string `group:"filter" placeholder:"TAG" help:"Of the tag TAG."`
	Commit     *string `group:"filter" placeholder:"ID" help:"Of the commit ID, or of those that begin so: 7 digits at least."`
	Delivery   *string `group:"filter" placeholder:"ID" help:"Of the delivery ID."`
}

func (f *buildOrigin) values() url.Values {
	values := url.Values{}
	p := parameters(values)
	p.text("origin", f.Origin)
	p.text("rule", f.Rule)
	p.text("target", f.Target)
	p.text("job_id", f.JobID)
	p.text("repository", f.Repository)
	p.text("ref", f.Ref)
	p.text("tag", f.Tag)
	p.text("commit", f.Commit)
	p.text("delivery", f.Delivery)
	return values
}

type buildsList struct {
	adminFlags  `embed:""`
	listFlags   `embed:""`
	buildFilter `embed:""`

	ReplayOf *string `group:"filter" placeholder:"ID" help:"Replays of the build ID."`
}

func (buildsList) Help() string {
	return adminHelp + `

Examples:

    buildbridge builds list
    buildbridge builds list --state dead --rule cart --since 2h
    buildbridge builds list --result failure --since 1d
    buildbridge builds list --repository acme/shop --ref main --limit 5
    buildbridge builds list --commit 6dcb09b
    buildbridge builds list --state dead --all --json`
}

// Run lists builds.
func (c *buildsList) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	filter := c.values()
	parameters(filter).text("replay_of", c.ReplayOf)
	all := admin.BuildPage{Builds: []admin.Build{}}
	t := newBuildTable(env.Stdout)
	more, err := c.pages(func(page url.Values) (int, string, error) {
		var got admin.BuildPage
		if err := api.ask(ctx, http.MethodGet, "/builds", merge(filter, page), &got); err != nil {
			return 0, "", err
		}
		all.Next = got.Next
		if c.JSON {
			all.Builds = append(all.Builds, got.Builds...)
			return len(got.Builds), got.Next, nil
		}
		for i := range got.Builds {
			t.build(&got.Builds[i])
		}
		return len(got.Builds), got.Next, t.flush()
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(env.Stdout, all)
	}
	env.afterTable(t.table, more, "builds")
	return nil
}

// afterTable writes to standard error that there are no rows, or more rows: standard output
// is for rows.
func (e *Environment) afterTable(t *table, more bool, what string) {
	switch {
	case t.rows == 0:
		e.complain("no " + what)
	case more:
		e.complain("There are more: see --limit and --all.")
	}
}

// complain writes a line to standard error.
func (e *Environment) complain(line string) {
	_, _ = fmt.Fprintln(e.Stderr, line)
}

// buildTable is a table of builds.
type buildTable struct{ *table }

func newBuildTable(w io.Writer) buildTable {
	t := newTable(w, "RECEIVED", "ID", "STATE", "TOOK", "RULE", "TARGET", "REPOSITORY", "REF", "COMMIT", "PUSHER", "NUMBER",
		"TITLE", "REASON")
	t.width, t.fold, t.fates, t.titles = terminalWidth(w), true, 2, 11
	t.narrow = []string{"PUSHER", "TARGET", "NUMBER", "TITLE", "TOOK", "COMMIT", "REPOSITORY", "RULE", "REF"}
	return buildTable{t}
}

func (t buildTable) build(b *admin.Build) {
	t.row(local(b.ReceivedAt), t.id(b.ID), fate(b), took(b.StartedAt, b.EndedAt), b.Rule, b.Target, b.Repository,
		shortRef(b.Ref), t.commit(cmp.Or(b.Commit, b.TagCommit)), b.Pusher, t.commit(b.BuildNumber), b.Title, t.reason(b))
}

// reason is reason with a short id on a terminal.
func (t *table) reason(b *admin.Build) string {
	text := reason(b)
	if b.SupersededBy != "" {
		text = strings.Replace(text, b.SupersededBy, t.id(b.SupersededBy), 1)
	}
	return text
}

// fate is what matters of a build: its result once it has one, else its state.
func fate(b *admin.Build) string { return cmp.Or(string(b.Result), string(b.State)) }

// reason is why a build has its fate.
func reason(b *admin.Build) string {
	switch {
	case b.Error != "":
		return b.Error
	case b.State == store.Superseded && strings.Contains(b.Reason, b.SupersededBy): // it says why
		return b.Reason
	case b.State == store.Superseded:
		return "by " + b.SupersededBy
	case b.Stop != "" && b.Result == store.Running:
		return "to be stopped: " + b.Stop
	case b.Stop != "" && b.Result == store.Aborted:
		return b.Stop
	case b.Step != "" && b.Message != "":
		return b.Step + ": " + b.Message
	}
	return cmp.Or(b.Step, b.Message, b.Reason)
}

// took is how long something took, in whole seconds; "" if it has not ended, or never began.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return max(0, to.Sub(from)).Round(time.Second).String()
}

type buildsShow struct {
	adminFlags `embed:""`

	ID string `arg:"" name:"id" help:"Id of the build."`
}

func (buildsShow) Help() string {
	return adminHelp + `

Example:

    buildbridge builds show 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e`
}

// Run shows a build.
func (c *buildsShow) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var b admin.BuildDetail
	if err := api.ask(ctx, http.MethodGet, "/builds/"+url.PathEscape(c.ID), nil, &b); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, b)
	}
	t := newTable(env.Stdout)
	t.field("build", b.ID)
	t.field("state", outcome(string(b.State), b.Reason, ""))
	t.field("result", string(b.Result))
	t.field("failed step", b.Step)
	t.field("message", b.Message)
	t.field(next(&b.Build, time.Now()))
	t.field("paused since", local(b.PausedAt))
	t.field("worked by", b.Worker)
	t.field("superseded by", b.SupersededBy)
	t.field("replay of", b.ReplayOf)
	for _, r := range b.Replays {
		t.field("replayed as", strings.TrimSpace(fmt.Sprintf("%s, %s %s", r.ID, cmp.Or(string(r.Result), string(r.State)), r.BuildNumber)))
	}
	t.field("asked for by", b.Actor)
	t.field("why", b.Why)
	t.field("delivery", b.Delivery)
	t.field("received", local(b.ReceivedAt))
	t.field("error", b.Error)
	t.field("deadline", local(b.Deadline))
	t.field("rule", b.Rule)
	t.field("target", b.Target)
	t.field(b.Action.String(), b.JobID)
	t.field("project", b.ProjectID)
	t.field("repository", b.Repository)
	t.field("ref", b.Ref)
	t.field("tag", b.Tag)
	t.field("commit", cmp.Or(b.Commit, b.TagCommit))
	t.field("title", b.Title)
	t.field("pusher", b.Pusher)
	t.field("started", local(b.StartedAt))
	for _, f := range course(&b.Build, time.Now()) {
		t.field(f[0], f[1])
	}
	if b.Adopted {
		b.BuildNumber += ", found in the records of the " + b.Action.String()
	}
	name, call := "build number", "RunJob"
	if b.Action == mapping.ActionPipeline {
		name, call = "run", "RunPipeline"
	}
	t.field(name, b.BuildNumber)
	t.field("queued as", b.QueueID)
	t.field("built commit", b.RanCommit)
	t.field("console", b.ConsoleURL)
	for _, f := range told(&b) {
		t.field(f[0], f[1])
	}
	t.field("trace", b.TraceID)
	t.field("calls", strconv.Itoa(b.Attempts))
	if err := t.flush(); err != nil {
		return err
	}
	if len(b.Log) > 0 {
		env.printf("\n")
		attempts := newTable(env.Stdout, "AT", "TOOK", "WHAT", "THEN", "ERROR")
		for _, a := range b.Log {
			took := time.Duration(a.Duration * float64(time.Millisecond)).Round(time.Millisecond)
			attempts.row(local(a.At), took.String(), what(a), string(a.Outcome), a.Error)
		}
		if err := attempts.flush(); err != nil {
			return err
		}
	}
	var body bytes.Buffer
	if json.Indent(&body, b.Body, "", "  ") == nil && body.String() != "null" {
		env.printf("\n%s %s\n", call, body.String())
	}
	return nil
}

// next is a field that says when a waiting build is called, or searched for, next. It is
// empty for a build that does not wait.
func next(b *admin.Build, now time.Time) (name, when string) {
	if b.DueAt.IsZero() {
		return "", ""
	}
	name, when = "next try", local(b.DueAt)
	if b.State != store.Waiting {
		name = "next search"
	}
	in := b.DueAt.Sub(now).Round(time.Second)
	if in <= 0 {
		return name, when + " (now)"
	}
	when += fmt.Sprintf(" (in %v)", in)
	if hold := store.Hold(b.Reason); hold == store.HoldOrder || hold == store.HoldCall {
		when += ", or once that is resolved"
	}
	return name, when
}

// course are the fields about a build that was started, up to its end.
func course(b *admin.Build, now time.Time) (fields [][2]string) {
	add := func(name, value string) { fields = append(fields, [2]string{name, value}) }
	if b.Result == "" {
		return nil
	}
	runs := b.Result == store.Running
	switch {
	case !b.RunningAt.IsZero():
		add("queued for", took(b.StartedAt, b.RunningAt))
	case runs:
		add("queued for", took(b.StartedAt, now)+" so far")
	}
	if runs && !b.RunningAt.IsZero() {
		add("runs since", local(b.RunningAt)+" ("+took(b.RunningAt, now)+")")
	}
	switch {
	case b.WaitedAt.IsZero():
	case b.WaitsForPerson:
		add("waits for a person since", local(b.WaitedAt)+" ("+took(b.WaitedAt, now)+")")
	case runs:
		add("waited for a person until", local(b.WaitedAt))
	default: // it may have ended while it did
		add("waited for a person", "last seen "+local(b.WaitedAt))
	}
	if !b.EndedAt.IsZero() {
		add("ended", local(b.EndedAt))
		add("took", took(b.StartedAt, b.EndedAt))
	}
	switch {
	case b.Stop == "":
	case !b.StoppedAt.IsZero():
		add("stopped", local(b.StoppedAt)+": "+b.Stop)
	case runs:
		add("to be stopped", b.Stop)
	}
	return fields
}

// told are the fields about the status at the code host.
func told(b *admin.BuildDetail) (fields [][2]string) {
	s := b.Status
	if s == nil {
		return nil
	}
	add := func(name, value string) { fields = append(fields, [2]string{name, value}) }
	add("status", fmt.Sprintf("%s on %s, at %s", s.Context, s.Commit, s.Source))
	switch {
	case s.Told == "":
		add("told", "nothing yet")
	case s.ToldBuild != b.ID:
		add("told", s.Told+", of build "+s.ToldBuild)
	default:
		add("told", s.Told)
	}
	if s.Build != b.ID {
		add("is about", "build "+s.Build+", which is newer")
	}
	if s.Reason != "" {
		reason := s.Reason
		if !s.Since.IsZero() {
			reason += ", since " + local(s.Since)
		}
		add("not told", reason)
		if s.DueAt.IsZero() {
			add("told again", "never")
		} else {
			add("told again", local(s.DueAt))
		}
	}
	return fields
}

func what(a admin.Attempt) string {
	switch {
	case !a.Search:
		return "call"
	case a.Times > 1:
		return fmt.Sprintf("search, the last of %d", a.Times)
	}
	return "search"
}
