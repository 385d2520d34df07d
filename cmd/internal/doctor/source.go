package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/hostapi"
)

// secretsOf reads the secrets of a source, and the token of its host if it has an api.
func secretsOf(s *mapping.Source) Finding {
	f := Finding{Source: s.Name, OK: true, Message: "its secrets can be read"}
	if s.Insecure {
		f.Message = "insecure: it accepts deliveries from anybody"
	} else if s.ByAddress() {
		f.Message = "no secret: it accepts deliveries from the addresses of allow_from alone"
	}
	resolved, err := bridge.ResolveSource(s)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	f.Warnings = resolved.Doubts
	if s.API == nil {
		return f
	}
	host, doubts, err := bridge.NewHost(s, nil, nil)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	host.Close()
	f.Warnings = append(f.Warnings, doubts...)
	return f
}

// source reads the secrets of a source, and asks its host about the token, and about each
// repository that rules name exactly.
func (d *Doctor) source(ctx context.Context, s *mapping.Source) {
	secrets := secretsOf(s)
	d.Tell(secrets)
	skip := func(message string) { d.Tell(Finding{Source: s.Name, OK: true, Skipped: true, Message: message}) }
	switch {
	case !secrets.OK:
		return
	case s.API == nil:
		skip("webhooks: without api the code host cannot be asked; with it, give the source a token to read them")
		return
	}
	client, _, err := bridge.NewHost(s, nil, nil)
	if err != nil {
		skip("webhooks: " + oneLine(err, fmt.Sprintf("source %q: ", s.Name)))
		return
	}
	defer client.Close()
	hooks := client.Webhooks()
	if hooks == nil {
		skip("webhooks: those of " + s.Provider + " cannot be read with a token: look at them in its own pages")
		if s.CatchUp == nil {
			return
		}
	}
	named := d.Rules.Named(s.Name)
	if hooks != nil && !d.token(ctx, s, hooks) {
		if len(named) > 0 {
			skip("its repositories and their webhooks: mend the above first")
		}
		return
	}
	if len(named) == 0 {
		skip("repositories: no rule names one of this source exactly, so that none can be asked for")
		return
	}
	told := each(ctx, len(named), func(ctx context.Context, i int) looked {
		l := looked{d: d, source: s, hooks: hooks, named: named[i]}
		if hooks != nil {
			l.look(ctx)
		}
		if s.CatchUp != nil && !l.refused {
			l.refs(ctx, client)
		}
		return l
	}, func(_ int, l looked) bool {
		for _, f := range l.found {
			d.Tell(f)
		}
		return !l.refused
	}, d.counter(secrets.Group()+": repositories", len(named)))
	if left := len(named) - told; left > 0 && ctx.Err() == nil {
		skip(printable.Count(left, "more repository") + ": all would fail alike")
	}
}

// soon is how long before its end a token is warned of.
const soon = 14 * 24 * time.Hour

// token asks about the token, and reports whether it is of use to ask more.
func (d *Doctor) token(ctx context.Context, s *mapping.Source, hooks *hostapi.Webhooks) bool {
	f := Finding{Source: s.Name, OK: true, Message: "the token is valid"}
	var info hostapi.TokenInfo
	var known bool
	var err error
	each(ctx, 1, func(ctx context.Context, _ int) error {
		return unhurried(ctx, func() (err error) { info, known, err = hooks.Token(ctx); return })
	}, func(_ int, answer error) bool {
		err = answer
		return true
	}, d.counter(f.Group()+": token", 1))
	switch {
	case err != nil:
		f.OK, f.Message = false, err.Error()
		d.Tell(f)
		return false
	case !known:
		return true // the first repository shows it
	}
	if info.User != "" {
		f.Message += ", of the user " + info.User
	}
	if info.Scopes != nil {
		f.Message += ", with the scopes " + strings.Join(info.Scopes, ", ")
		if len(info.Scopes) == 0 {
			f.Message = strings.TrimSuffix(f.Message, "the scopes ") + "no scope"
		}
		f.Warnings = lacking(s, info.Scopes)
	}
	if left := time.Until(info.Expires); !info.Expires.IsZero() && left < soon {
		f.Warnings = append(f.Warnings, "the token expires on "+info.Expires.Format(time.DateOnly)+": give a new one to api.token before")
	}
	d.Tell(f)
	return true
}

// lacking are the scopes that a token would need. They are warnings: what it may really do shows
// when it is done.
func lacking(s *mapping.Source, scopes []string) []string {
	need := func(what string, one ...string) string {
		if slices.ContainsFunc(one, func(scope string) bool { return slices.Contains(scopes, scope) }) {
			return ""
		}
		return fmt.Sprintf("the token has not the scope %s, which %s need", one[0], what)
	}
	var lacks []string
	switch s.Provider {
	case "github":
		lacks = append(lacks, need("webhooks, to be seen,", "read:repo_hook", "write:repo_hook", "admin:repo_hook", "repo"))
		if s.Report {
			lacks = append(lacks, need("statuses on commits", "repo:status", "repo"))
		}
		if s.CatchUp != nil {
			lacks = append(lacks, need("the refs of private repositories", "repo"))
		}
	case "gitlab":
		lacks = append(lacks, need("webhooks, to be seen, and statuses on commits", "api"))
		if s.CatchUp != nil {
			lacks = append(lacks, need("refs", "read_repository", "read_api", "api"))
		}
	}
	return slices.DeleteFunc(lacks, func(lack string) bool { return lack == "" })
}

// unhurried makes a call again if the host asks to wait: three times, at most a minute each.
func unhurried(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		r, ok := errors.AsType[*hostapi.Refusal](err)
		if !ok || r.After <= 0 || r.After > time.Minute || try > 3 || !pause(ctx, r.After) {
			return err
		}
	}
}

// looked is a look at one repository.
type looked struct {
	d      *Doctor
	source *mapping.Source
	hooks  *hostapi.Webhooks
	named  mapping.Named

	found   []Finding
	refused bool // the token, for all repositories
}

func (l *looked) tell(f Finding) {
	f.Source, f.Repository = l.source.Name, l.named.Repository
	l.found = append(l.found, f)
}

func (l *looked) fail(format string, args ...any) {
	l.tell(Finding{Message: fmt.Sprintf(format, args...)})
}

// look asks whether the repository can be seen, and which webhooks it has.
func (l *looked) look(ctx context.Context) {
	var list hostapi.RepositoryHooks
	err := unhurried(ctx, func() (err error) { list, err = l.hooks.Of(ctx, l.named.Repository); return })
	if err != nil {
		r, ok := errors.AsType[*hostapi.Refusal](err)
		l.refused = ok && r.Fate == hostapi.FateSource
		l.fail("%v", err)
		return
	}
	if list.Name != "" && !strings.EqualFold(list.Name, l.named.Repository) {
		l.fail("the code host calls it %s now, and so do its deliveries: write that name in the rules", list.Name)
	}
	var ours, astray []hostapi.Hook
	for _, h := range list.Hooks {
		switch is, near := l.isOurs(h.URL); {
		case is:
			ours = append(ours, h)
		case near:
			astray = append(astray, h)
		}
	}
	if len(ours) == 0 {
		l.missing(list, astray)
		return
	}
	for _, h := range ours {
		l.hook(ctx, h, len(ours))
	}
}

// errEnough ends the reading of refs.
var errEnough = errors.New("enough refs")

// refs tells whether the refs can be read, which is all that catch-up asks for. The first is enough.
func (l *looked) refs(ctx context.Context, client *hostapi.Client) {
	err := unhurried(ctx, func() error {
		return client.Refs(ctx, l.named.Repository, func(hostapi.Ref) error { return errEnough })
	})
	if err == nil || errors.Is(err, errEnough) {
		l.tell(Finding{OK: true, Message: "its refs can be read by Git's protocol, for catch_up"})
		return
	}
	r, ok := errors.AsType[*hostapi.Refusal](err)
	l.refused = ok && r.Fate == hostapi.FateSource
	l.fail("catch_up cannot read its refs by Git's protocol: %v", err)
}

// isOurs reports whether an address is the one of this source, or one that ends as it does.
func (l *looked) isOurs(address string) (is, near bool) {
	path := "/webhooks/" + l.source.Name
	address = strings.TrimRight(address, "/")
	if !strings.HasSuffix(address, path) {
		return false, false
	}
	return l.d.URL == "" || strings.EqualFold(strings.TrimSuffix(address, path), strings.TrimRight(l.d.URL, "/")), true
}

func (l *looked) address() string {
	if l.d.URL == "" {
		return "…/webhooks/" + l.source.Name
	}
	return strings.TrimRight(l.d.URL, "/") + "/webhooks/" + l.source.Name
}

// missing tells that there is no webhook of ours, as far as can be seen.
func (l *looked) missing(list hostapi.RepositoryHooks, astray []hostapi.Hook) {
	switch {
	case list.Blind != nil:
		l.tell(Finding{OK: true, Unseen: true, Message: "the repository can be seen, and not its webhooks: " + list.Blind.Error()})
	case len(astray) > 0:
		l.fail("its webhook sends to %s, and not to %s: change its address, or give --url the right one", astray[0].URL, l.address())
	default:
		message := fmt.Sprintf("no webhook sends to %s: add one, or pushes are not heard of", l.address())
		if list.Unseen != "" {
			message += fmt.Sprintf(" (if %s has it: that cannot be seen with this token)", list.Unseen)
		}
		l.fail("%s", message)
	}
}

// hook tells how one of our webhooks is; there are so many.
func (l *looked) hook(ctx context.Context, h hostapi.Hook, many int) {
	good := Finding{OK: true, Message: "its webhook sends to " + h.URL}
	if h.Of != "" {
		good.Message = fmt.Sprintf("the webhook of %s sends to %s", h.Of, h.URL)
	}
	before := len(l.found)
	if h.Off != "" {
		l.fail("its webhook: %s", h.Off)
	}
	if l.named.Push && !h.Push {
		l.fail("its webhook does not send pushes, and rules are for them: add the event")
	}
	if l.named.Tag && !h.Tag {
		l.fail("its webhook does not send tags, and rules are for them: add the event")
	}
	if h.Secret == hostapi.No && !l.source.Insecure {
		l.fail("its webhook has no secret: its deliveries are answered 401; give it one of the source's")
	}
	if many > 1 {
		good.Warnings = append(good.Warnings, fmt.Sprintf("%d webhooks send there: a push comes %d times; delete all but one", many, many))
	}
	if h.Branches != "" {
		good.Warnings = append(good.Warnings, fmt.Sprintf("it sends pushes to the branches %s only", h.Branches))
	}
	if h.Unchecked && strings.HasPrefix(h.URL, "https:") {
		good.Warnings = append(good.Warnings, "it does not verify the certificate of the bridge: turn that on")
	}
	l.deliveries(ctx, h, &good)
	if len(l.found) == before || len(good.Warnings) > 0 {
		if len(l.found) > before { // its message would say that all is well
			l.found[before].Warnings = good.Warnings
			return
		}
		l.tell(good)
	}
}

// deliveries tells what the host was answered.
func (l *looked) deliveries(ctx context.Context, h hostapi.Hook, good *Finding) {
	var list []hostapi.HookDelivery
	var known bool
	err := unhurried(ctx, func() (err error) { list, known, err = l.hooks.Deliveries(ctx, h); return })
	if err != nil {
		good.Warnings = append(good.Warnings, "what was sent cannot be seen: "+err.Error())
	}
	if !known && h.Last != nil {
		list, known = []hostapi.HookDelivery{*h.Last}, true
	}
	switch {
	case !known:
		good.Message += "; what was sent, and what it was answered, cannot be seen at this host"
		return
	case len(list) == 0:
		good.Message += "; the host knows of no delivery lately"
		return
	}
	bad := slices.DeleteFunc(slices.Clone(list), func(d hostapi.HookDelivery) bool { return d.Taken })
	switch {
	case !list[0].Taken:
		l.fail("its last delivery%s was not taken: %s", when(list[0]), l.answer(list[0].Status))
	case len(bad) > 0:
		good.Warnings = append(good.Warnings, fmt.Sprintf("%d of its last %d deliveries were not taken; the newest of these%s: %s",
			len(bad), len(list), when(bad[0]), l.answer(bad[0].Status)))
	}
	good.Message += fmt.Sprintf("; its last delivery%s was taken", when(list[0]))
}

func when(d hostapi.HookDelivery) string {
	if d.At.IsZero() {
		return ""
	}
	return " (" + d.At.UTC().Format("2006-01-02 15:04") + " UTC)"
}

// answer says what an answer of the bridge means, and what to do about it.
func (l *looked) answer(status int) string {
	switch {
	case status == 0:
		return "there was no answer, or none that the host shows: see whether it reaches the address, and the bridge's log"
	case status == 401:
		return "answered 401: the webhook's secret is none of the source's"
	case status == 403:
		return "answered 403: the host's address is not in allow_from, or something before the bridge refuses it"
	case status == 404:
		return fmt.Sprintf("answered 404: the bridge has no source %q, or the address is not the bridge's", l.source.Name)
	case status == 413:
		return "answered 413: it is larger than max_body, or than something before the bridge allows"
	case status == 429:
		return "answered 429: it was more than the source's rate_limit"
	case status/100 == 3:
		return fmt.Sprintf("answered %d: the address redirects, which hosts do not follow", status)
	case status >= 500:
		return fmt.Sprintf("answered %d: the bridge, or what is before it, could not take it; see the log", status)
	}
	return fmt.Sprintf("answered %d: see the bridge's log", status)
}
