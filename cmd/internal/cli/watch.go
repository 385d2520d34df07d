package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

type buildsWatch struct {
	adminFlags `embed:""`

	State  *string `group:"filter" placeholder:"STATE" help:"Only changes to this state."`
	Result *string `group:"filter" placeholder:"RESULT" help:"Only changes to this result."`

	buildOrigin `embed:""`
}

func (buildsWatch) Help() string {
	return adminHelp + `

Prints a line for each build that came, and for each change of a build's state or result from now on. It asks once a second: of
several changes of a build within a second, it prints the last. It ends on Ctrl-C, with the exit code 0. With --json, each line is
the build as in the API.

Examples:

    buildbridge builds watch
    buildbridge builds watch --result failure --repository acme/shop
    buildbridge builds watch --json | jq -r '"\(.rule) \(.result)"'`
}

// watchInterval is how often the bridge is asked.
const watchInterval = time.Second

// Run watches builds until ctx ends.
func (c *buildsWatch) Run(ctx context.Context, env *Environment) error {
	if err := c.check(); err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	w := &watcher{origin: c.values(), list: func(query url.Values) (page admin.BuildPage, err error) {
		return page, api.ask(ctx, http.MethodGet, "/builds", query, &page)
	}, show: func(id string) (b admin.BuildDetail, err error) {
		return b, api.ask(ctx, http.MethodGet, "/builds/"+url.PathEscape(id), nil, &b)
	}}
	if _, err := w.look(); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	lines := newWatchLines(env)
	if !c.JSON {
		if err := lines.head(); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for failure := ""; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := w.look()
		if ctx.Err() != nil {
			return nil
		}
		if wrong, ok := errors.AsType[usageError](err); ok {
			return wrong
		}
		if text := said(err); text != failure {
			if failure = text; text == "" {
				text = "the bridge answers again"
			} else {
				text += ": asking again"
			}
			env.complain("buildbridge builds watch: " + text)
		}
		for i := range changed {
			b := &changed[i]
			if c.State != nil && *c.State != string(b.State) || c.Result != nil && *c.Result != string(b.Result) {
				continue
			}
			write := lines.line
			if c.JSON {
				write = lines.json
			}
			if err := write(b); err != nil {
				return err
			}
		}
	}
}

func (c *buildsWatch) check() error {
	if c.State != nil && !slices.Contains(store.States(), store.State(*c.State)) {
		return usageError("--state " + strconv.Quote(*c.State) + " is none of " + words(store.States()))
	}
	if c.Result != nil && !slices.Contains(store.Results(), store.Result(*c.Result)) {
		return usageError("--result " + strconv.Quote(*c.Result) + " is none of " + words(store.Results()))
	}
	return nil
}

func words[T ~string](all []T) string {
	var list []string
	for _, word := range all {
		list = append(list, string(word))
	}
	return strings.Join(list, ", ")
}

// said is the text of an error; "" for none.
func said(err error) string {
	if err == nil {
		return ""
	}
	return printable.Text(err.Error())
}

// watcher finds out which builds have changed since it looked before.
type watcher struct {
	origin url.Values // which builds
	list   func(query url.Values) (admin.BuildPage, error)
	show   func(id string) (admin.BuildDetail, error)

	// known has, by their ids, what is known of the builds that are open or new: of no others,
	// because they do not change any more.
	known map[string]admin.Build
	asked string // the id that was asked for last, of those that are asked for one by one
}

// Bounds of one look, of which there is one a second. Of the builds that are open, the newest of
// each kind are in its pages; those of the others that were known before are asked for one by
// one, look after look.
const (
	watchPage  = 200  // builds of a page of the newest
	watchPages = 20   // such pages, if all of their builds are new
	watchOpen  = 2000 // builds of each kind of those that are open
	watchAsked = 50   // builds that are asked for one by one
)

// look gives the builds that are new or have changed, in the order in which they came. If it
// fails, the next one gives them.
func (w *watcher) look() (changed []admin.Build, err error) {
	seen := map[string]admin.Build{}
	// What is open is read first: a build that ends meanwhile is then among the newest, or is asked for.
	for _, open := range []url.Values{
		{"state": {string(store.Waiting)}},
		{"state": {string(store.Calling)}},
		{"state": {string(store.Unknown)}},
		{"result": {string(store.Running)}},
	} {
		if err := w.pages(open, store.MaxPage, watchOpen/store.MaxPage, seen, func([]admin.Build) bool { return true }); err != nil {
			return nil, err
		}
	}
	allNew := func(page []admin.Build) bool {
		return w.known != nil && !slices.ContainsFunc(page, func(b admin.Build) bool {
			_, ok := w.known[b.ID]
			return ok
		})
	}
	if err := w.pages(url.Values{}, watchPage, watchPages, seen, allNew); err != nil {
		return nil, err
	}
	asked := w.asked
	for n, id := range w.unseen(seen) {
		if n >= watchAsked {
			seen[id] = w.known[id]
			continue
		}
		asked = id
		b, err := w.show(id)
		switch _, deleted := errors.AsType[notFoundError](err); {
		case deleted:
		case err != nil:
			return nil, err
		default:
			seen[id] = b.Build
		}
	}
	if w.known != nil {
		for _, id := range slices.Sorted(maps.Keys(seen)) { // UUIDs of version 7
			b := seen[id]
			if was, ok := w.known[id]; !ok || hasChanged(&was, &b) {
				changed = append(changed, b)
			}
		}
	}
	w.known, w.asked = seen, asked
	return changed, nil
}

// unseen gives the ids of the open builds that are known and not in seen, those first that come
// after the one that was asked for last.
func (w *watcher) unseen(seen map[string]admin.Build) []string {
	var left []string
	for _, id := range slices.Sorted(maps.Keys(w.known)) {
		was := w.known[id]
		if _, ok := seen[id]; !ok && isOpen(&was) {
			left = append(left, id)
		}
	}
	next, found := slices.BinarySearch(left, w.asked)
	if found {
		next++
	}
	return slices.Concat(left[next:], left[:next])
}

// pages reads pages of builds, the newest first, while more says that the next one matters.
func (w *watcher) pages(query url.Values, size, most int, into map[string]admin.Build, more func(page []admin.Build) bool) error {
	page := url.Values{"limit": {strconv.Itoa(size)}}
	for range most {
		got, err := w.list(merge(w.origin, merge(query, page)))
		if err != nil {
			return err
		}
		for _, b := range got.Builds {
			into[b.ID] = b
		}
		if got.Next == "" || !more(got.Builds) {
			return nil
		}
		page.Set("after", got.Next)
	}
	return nil
}

// hasChanged reports whether there is something new to say of a build.
func hasChanged(was, b *admin.Build) bool {
	return was.State != b.State || was.Result != b.Result || was.WaitsForPerson != b.WaitsForPerson
}

func isOpen(b *admin.Build) bool { return !b.State.Final() || b.Result == store.Running }

// watchLines writes what has changed, each line at once.
type watchLines struct {
	*table

	env *Environment
}

func newWatchLines(env *Environment) watchLines {
	return newWatchLinesOf(env, terminalWidth(env.Stdout))
}

func newWatchLinesOf(env *Environment, width int) watchLines {
	t := newTable(env.Stdout, "AT", "ID", "STATE", "TOOK", "RULE", "REPOSITORY", "REF", "COMMIT", "NUMBER", "TITLE", "REASON")
	t.width, t.fates, t.titles = width, 2, 9
	t.narrow = []string{"TITLE", "COMMIT", "NUMBER", "REPOSITORY", "RULE", "TOOK", "REF"}
	l := watchLines{t, env}
	// There is no second look at a line: these widths fit what is usual.
	t.least = []int{
		len(l.at()), len(t.id(strings.Repeat("x", 36))), len("superseded"), 6, 12, 16, 12, len(t.commit(strings.Repeat("x", 40))), 6,
		minTitle,
	}
	return l
}

// at is now; on a terminal, where somebody watches, the time of day is enough.
func (l watchLines) at() string {
	now := local(time.Now())
	if l.width > 0 {
		return now[len("2006-01-02 "):]
	}
	return now
}

func (l watchLines) head() error {
	l.row(slices.Clone(l.table.head)...)
	return l.flush()
}

func (l watchLines) line(b *admin.Build) error {
	l.row(l.at(), l.id(b.ID), fate(b), took(b.StartedAt, b.EndedAt), b.Rule, b.Repository, shortRef(b.Ref),
		l.commit(cmp.Or(b.Commit, b.TagCommit)), l.commit(b.BuildNumber), b.Title, l.reason(b))
	return l.flush()
}

func (l watchLines) json(b *admin.Build) error {
	e := json.NewEncoder(l.env.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(b)
}
