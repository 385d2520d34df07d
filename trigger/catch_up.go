package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

const (
	// lookSlots is how many repositories of a source are looked at at the same time.
	lookSlots = 2
	lookPoll  = time.Second
	// lookWithin bounds one look, with the builds that it makes: well before its lease ends.
	lookWithin = store.LookLease * 3 / 4
	// lookMost is how many refs one look notes that no delivery has named. Others have their turn
	// at the next looks.
	lookMost = 1000
	// goneMost is how many refs that are not there any more are remembered, or as many as are there.
	goneMost = 1000
	// lookMargin is how long before the look before a delivery may have come that names a ref
	// which that look did not see yet: replicas have clocks that differ, and so have hosts.
	lookMargin = 2 * time.Minute
)

// Limits of the wait after refs could not be read.
const (
	lookBackoffMost = 4 * time.Hour
	lookRefusedWait = time.Hour // at least, if the host will not show the repository
)

const (
	// findRepositoriesEvery is how often the leader looks which repositories there are.
	findRepositoriesEvery = time.Minute
	// deliveredAtOnce is how many deliveries it reads for that.
	deliveredAtOnce = 50_000
)

// noCommit is what hosts send as the commit before of a ref that is new.
const noCommit = "0000000000000000000000000000000000000000"

// The outcomes of a look, as a label.
const (
	lookRead    = "ok"
	lookFailed  = "failed"  // it is tried again
	lookRefused = "refused" // the host does not show the repository: tried again, rarely
)

// catchUpOf gives a source of the rules that catches up; nil if it does not.
func (t *Trigger) catchUpOf(source string) *mapping.Source {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s, ok := t.rules.Source(source); ok && s.CatchUp != nil {
		return s
	}
	return nil
}

// catchUpSources are the sources of the rules that catch up. t.mu must be locked.
func (t *Trigger) catchUpSources() (sources []*mapping.Source) {
	for _, s := range t.rules.Sources() {
		if s.CatchUp != nil && t.hosts[s.Name] != nil {
			sources = append(sources, s)
		}
	}
	return sources
}

// startLooks starts the queues of the sources that catch up. In a dry run too: to read refs
// changes nothing.
func (t *Trigger) startLooks() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, s := range t.catchUpSources() {
		names = append(names, s.Name)
		t.startQueue(store.CatchUpQueue(s.Name), lookSlots, min(lookPoll, max(s.CatchUp.Every/4, time.Millisecond)),
			t.unlessOnHold(func(ctx context.Context, n int) ([]func(), error) { return t.takeLooks(ctx, s.Name, n) }))
	}
	t.metrics.addCatchUp(names)
}

// catchUpRefs notes in a delivery what catch-up has to know of it.
func (t *Trigger) catchUpRefs(row *store.Delivery, events []mapping.Event) {
	source := t.catchUpOf(row.Source)
	if source == nil {
		return
	}
	row.CatchUp = source.CatchUp.Build
	for i := range events {
		e := &events[i]
		change := store.RefChange{Repository: e.Repository, Ref: e.Ref, Commit: e.Commit, Before: e.Before}
		if e.Created {
			change.Before = noCommit
		}
		row.Refs = append(row.Refs, change)
	}
}

// repositoryFinder is what the leader remembers of where repositories come from.
type repositoryFinder struct {
	at    time.Time
	rules *mapping.Ruleset // those of that time
	after int64            // the last delivery that was read
	again int64            // and of those before it, the last that was read again
}

// findRepositories says which repositories are looked at: those that rules name exactly, and
// those that have delivered and that a rule names.
func (t *Trigger) findRepositories(ctx context.Context, f *repositoryFinder) {
	t.mu.RLock()
	rules, sources := t.rules, t.catchUpSources()
	t.mu.RUnlock()
	if f.rules == rules && time.Since(f.at) < findRepositoriesEvery {
		return
	}
	if f.at.IsZero() {
		f.after = -1
	}
	if f.rules != rules { // they may name repositories that delivered long ago
		f.again = 0
	}
	f.at, f.rules = time.Now(), rules
	existing, err := t.store.Repositories(ctx)
	if err == nil && len(existing)+len(sources) > 0 {
		err = t.setRepositories(ctx, f, sources, existing)
	}
	if err != nil {
		f.rules = nil // soon again
		t.logUnlessStopping("finding the repositories to look at failed, it is tried again", err)
	}
}

func (t *Trigger) setRepositories(ctx context.Context, f *repositoryFinder, sources []*mapping.Source, existing []*store.Repository) error {
	delivered, next, err := t.store.Delivered(ctx, f.after, deliveredAtOnce)
	if err != nil {
		return err
	}
	// All others too, a part each time; and then those of the time before: a few are committed after
	// others that got their seqs later.
	if n := min(deliveredAtOnce, f.after-f.again); n > 0 {
		var more [][2]string
		if more, f.again, err = t.store.Delivered(ctx, f.again, n); err != nil {
			return err
		}
		delivered = append(more, delivered...)
	}
	wanted := map[string]map[string]string{} // by source and name in lower case: the name
	for _, r := range existing {
		wanted[r.Source] = map[string]string{} // also of sources that do not catch up any more
	}
	intervals := map[string]time.Duration{}
	for _, s := range sources {
		names := map[string]string{}
		for _, name := range f.rules.NamedRepositories(s.Name) {
			names[strings.ToLower(name)] = name
		}
		wanted[s.Name], intervals[s.Name] = names, s.CatchUp.Every
	}
	add := func(source, name string) {
		if intervals[source] > 0 && f.rules.NamesRepository(source, name) {
			wanted[source][strings.ToLower(name)] = name // spelled as the host does
		}
	}
	for _, r := range existing {
		add(r.Source, r.Name)
	}
	for _, d := range delivered {
		add(d[0], d[1])
	}
	for source, names := range wanted {
		list := make([]string, 0, len(names))
		for _, name := range names {
			if len(name) <= mapping.MaxRepository {
				list = append(list, name)
			}
		}
		interval := intervals[source]
		spread := min(interval, time.Duration(len(list))*time.Second/lookSlots)
		if err := t.store.SetRepositories(ctx, source, list, interval, spread); err != nil {
			return err
		}
	}
	f.after, f.again = next, min(f.again, next)
	return nil
}

// takeLooks takes up to n repositories of a source that are due.
func (t *Trigger) takeLooks(ctx context.Context, source string, n int) (works []func(), err error) {
	h, s, probed := t.host(source), t.catchUpOf(source), func() {}
	if h == nil || s == nil {
		return nil, nil
	}
	admitted, probe := h.looks.admit(n)
	if admitted == 0 {
		return nil, nil
	}
	if probe {
		probed = h.looks.probed
	}
	due, err := t.store.DueRepositories(ctx, source, admitted)
	if len(due) == 0 {
		probed()
	}
	for _, r := range due {
		works = append(works, func() { //nolint:contextcheck // it ends when the trigger stops
			defer probed()
			t.lookAt(h, s, r)
		})
	}
	return works, err
}

// lookAt looks once at the refs of a repository, and saves when to look again.
func (t *Trigger) lookAt(h *host, s *mapping.Source, r *store.Repository) {
	ctx, cancel := context.WithTimeout(t.stopping, lookWithin)
	defer cancel()
	ctx, span := t.span(ctx, "look at refs", trace.SpanKindInternal)
	l := &refLook{
		Trigger: t, host: h, source: s, began: time.Now(), named: map[uint64]bool{}, rows: map[string]*store.MissedRef{},
		refs: map[uint64]bool{}, out: store.Look{Repository: r},
	}
	wait, err := lookBackoffMost, error(nil)
	defer func() {
		if p := recover(); p != nil { // this program is wrong: not again and again
			err = fmt.Errorf("buildbridge failed inside: %v", p)
			t.log.LogAttrs(ctx, slog.LevelError, "looking at refs panicked",
				l.attrs(slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))...)
			l.out = store.Look{Repository: r}
		}
		l.save(context.WithoutCancel(ctx), wait)
		span.SetAttributes(attribute.String("source", s.Name), attribute.String("repository", r.Name),
			attribute.Int("refs", len(l.refs)), attribute.Int("missed", len(l.out.Missed)+l.built))
		endSpan(span, err)
	}()
	wait, err = l.do(ctx)
}

// refLook is one look at the refs of a repository.
type refLook struct {
	*Trigger
	host   *host
	source *mapping.Source
	began  time.Time
	out    store.Look

	rows  map[string]*store.MissedRef // those that no delivery had named, by ref
	named map[uint64]bool             // what deliveries have named since the look before

	refs      map[uint64]bool // the halves of digests that stand for them
	known     []uint64
	here      []*store.MissedRef // rows whose ref is still there
	confirmed []missedPush       // those that count as missed now
	left      int                // more of them than a look notes
	built     int
	unsure    bool // a delivery may have named what was found, and be forgotten
}

// missedPush is a push whose delivery never came.
type missedPush struct {
	*store.MissedRef

	event  mapping.Event
	builds []mapping.Build
}

// do gives the wait before the next look. The error is why the refs could not be read.
func (l *refLook) do(ctx context.Context) (wait time.Duration, err error) {
	r := l.out.Repository
	rows, err := l.store.MissedOf(ctx, r.Source, r.Name)
	if err == nil && !r.LookedAt.IsZero() {
		err = l.store.NamedSince(ctx, r.Source, r.Name, r.LookedAt.Add(-lookMargin), func(digest uint64) { l.named[digest] = true })
	}
	if err != nil {
		l.logUnlessStopping("reading what deliveries have named failed, it is tried again", err)
		return retryWork, err
	}
	for _, m := range rows {
		l.rows[m.Ref] = m
	}
	err = l.host.API.Refs(ctx, r.Name, l.see)
	if err == nil && len(l.refs) == 0 && len(r.Known) > 0 {
		err = &hostapi.Refusal{Fate: hostapi.FateFinal, Reason: "the host shows no branch and no tag any more"}
	}
	if err != nil {
		return l.failed(ctx, err), err
	}
	l.read(ctx)
	if err := l.doubt(ctx); err != nil {
		l.logUnlessStopping("reading what deliveries have named failed, it is tried again", err)
		return retryWork, err
	}
	for _, m := range rows {
		moved := func(found *store.MissedRef) bool { return found.Ref == m.Ref } // its row becomes that one
		if !slices.Contains(l.here, m) && !slices.ContainsFunc(l.out.Found, moved) {
			l.out.Gone = append(l.out.Gone, m)
		}
	}
	every := l.every()
	wait = every - every/10 + rand.N(every/5+1) //nolint:gosec // jitter
	if !l.build(ctx) {
		wait = min(wait, time.Minute)
	}
	l.keepGone()
	slices.Sort(l.known)
	r.Known, r.LookedAt, r.Failures, r.Reason = slices.Compact(l.known), l.began, 0, ""
	return wait, nil
}

// doubt notes whether what was found may have been named by a delivery that built nothing and is
// not kept any more. It is not built, then: a rule may have been told to leave it out.
func (l *refLook) doubt(ctx context.Context) error {
	if len(l.out.Found)+len(l.confirmed) == 0 {
		return nil
	}
	since, err := l.store.IgnoredSince(ctx)
	if err != nil {
		return err
	}
	after := l.out.Repository.LookedAt.Add(-lookMargin)
	keep := l.settings.Retention.Deliveries
	l.unsure = since.After(after) || keep > 0 && l.began.Add(-keep).After(after)
	for _, m := range l.out.Found {
		m.Unsure = l.unsure
	}
	return nil
}

// keepGone keeps what is known of refs that this look did not see: a host may leave some out, as
// while it is restored. They are no new ones when they come back.
func (l *refLook) keepGone() {
	room := max(goneMost, len(l.refs))
	for _, digest := range l.out.Repository.Known {
		if room > 0 && !l.refs[digest>>32] {
			l.known = append(l.known, digest)
			room--
		}
	}
}

func (l *refLook) every() time.Duration { return max(l.source.CatchUp.Every, time.Millisecond) }

// see sorts one ref: what is known needs no look any more.
func (l *refLook) see(ref hostapi.Ref) error {
	r, digest, row := l.out.Repository, store.RefDigest(ref.Name, ref.Commit), l.rows[ref.Name]
	l.refs[digest>>32] = true
	here := row != nil && row.Commit == ref.Commit
	_, known := slices.BinarySearch(r.Known, digest)
	named := l.named[digest] || l.named[store.RefDigest(ref.Name, "")]
	if named && row != nil && row.Built != here && row.WasAt(ref.Commit) {
		named = false // its delivery was taken for that of an older push, and built nothing
	}
	if r.LookedAt.IsZero() || known || named || here && row.Delivery != "" {
		l.known = append(l.known, digest)
		if here && (!named || row.Built) {
			l.here = append(l.here, row)
		}
		return nil
	}
	if len(l.out.Found)+len(l.confirmed) >= lookMost { // before the rules decide: there may be very many
		l.left++
		if here {
			l.here = append(l.here, row)
		}
		return nil
	}
	event := l.event(ref)
	l.mu.RLock()
	rules := l.rules
	l.mu.RUnlock()
	builds := rules.Decide(&event)
	switch {
	case len(builds) == 0:
		l.known = append(l.known, digest)
	case !here:
		l.out.Found = append(l.out.Found, store.NewMissedRef(r, ref.Name, ref.Commit, l.began))
	default:
		l.here = append(l.here, row)
		if l.began.Sub(row.FoundAt) >= l.every()/2 { // else this look came early, and its delivery may still be on its way
			l.confirmed = append(l.confirmed, missedPush{row, event, builds})
		}
	}
	return nil
}

// event is what a delivery would have told of a ref, without all that a look at it does not say.
func (l *refLook) event(ref hostapi.Ref) mapping.Event {
	e := mapping.Event{
		Source: l.source.Name, Provider: l.source.Provider, Kind: mapping.Push, Ref: ref.Name, Commit: ref.Commit,
		Files: []string{}, FilesUnknown: "catch-up found the push by its ref", Origin: mapping.OriginCatchUp,
	}
	e.SetRepository(l.out.Repository.Name)
	var isTag bool
	if e.Tag, isTag = strings.CutPrefix(ref.Name, "refs/tags/"); isTag {
		e.Kind = mapping.Tag
	} else {
		e.Branch, e.Tag = strings.TrimPrefix(ref.Name, "refs/heads/"), ""
	}
	return e
}

// build builds what was missed, or only notes it. It reports whether all of it could be.
func (l *refLook) build(ctx context.Context) (all bool) {
	all = true
	for _, m := range l.confirmed {
		d, err := l.delivery(&m)
		if err != nil {
			l.logUnlessStopping("a missed push cannot be stored", err)
			continue
		}
		if m.Unsure = m.Unsure || l.unsure; m.Unsure || !l.source.CatchUp.Build {
			m.MissedAt, m.Delivery = d.ReceivedAt, d.ID
			l.out.Missed = append(l.out.Missed, m.MissedRef)
			l.known = append(l.known, store.RefDigest(m.Ref, m.Commit))
			continue
		}
		if ctx.Err() != nil { // the next look goes on
			return false
		}
		receipt, err := l.accept(context.WithoutCancel(ctx), d, m.builds, m.MissedRef)
		switch {
		case errors.Is(err, store.ErrStale): // its delivery came, or another process was faster
			continue
		case err != nil:
			l.logUnlessStopping("building a missed push failed, it is tried again", err)
			return false
		}
		l.built++
		m.MissedAt, m.Delivery, m.Built = d.ReceivedAt, d.ID, true
		l.known = append(l.known, store.RefDigest(m.Ref, m.Commit))
		l.missed(ctx, m.MissedRef, slog.Int("builds", len(receipt.Builds)))
	}
	return all
}

// delivery is one that catch-up makes of a missed push. A replay decodes its body again.
func (l *refLook) delivery(m *missedPush) (mapping.Delivery, error) {
	body, err := json.Marshal(&m.event)
	if err != nil {
		return mapping.Delivery{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return mapping.Delivery{}, err
	}
	return mapping.Delivery{
		ID: id.String(), Source: l.source.Name, Provider: l.source.Provider, Event: string(mapping.OriginCatchUp), ReceivedAt: time.Now(),
		Body: body, Events: []mapping.Event{m.event}, Origin: mapping.OriginCatchUp,
	}, nil
}

// missed says that a push was missed.
func (l *refLook) missed(ctx context.Context, m *store.MissedRef, more ...slog.Attr) {
	l.metrics.missed.WithLabelValues(l.source.Name).Inc()
	l.log.LogAttrs(ctx, slog.LevelWarn, "push was missed: no delivery of it came", l.attrs(append(urlAttr([]slog.Attr{
		slog.String("ref", m.Ref), slog.String("commit", m.Commit), slog.String("delivery", m.Delivery),
	}, l.deliveryURL(m.Delivery)), more...)...)...)
}

// read notes that the refs could be read.
func (l *refLook) read(ctx context.Context) {
	r := l.out.Repository
	l.metrics.looks.WithLabelValues(l.source.Name, lookRead).Inc()
	if l.host.looks.answers() {
		l.log.LogAttrs(ctx, slog.LevelInfo, "code host can be asked for refs again", slog.String("source", l.source.Name))
	}
	switch {
	case r.Failures > 0:
		l.log.LogAttrs(ctx, slog.LevelInfo, "refs can be read again", l.attrs(slog.Int("refs", len(l.refs)))...)
	case r.LookedAt.IsZero():
		l.log.LogAttrs(ctx, slog.LevelInfo, "refs were read for the first time: pushes from now on are looked for",
			l.attrs(slog.Int("refs", len(l.refs)))...)
	default:
		l.log.LogAttrs(ctx, slog.LevelDebug, "refs were read", l.attrs(slog.Int("refs", len(l.refs)), slog.Int("found", len(l.out.Found)))...)
	}
	if l.left > 0 {
		l.log.LogAttrs(ctx, slog.LevelWarn, "very many refs were named by no delivery: the others follow at the next looks",
			l.attrs(slog.Int("left", l.left))...)
	}
}

// failed notes why the refs could not be read, and returns when to look again. The repository
// stays as it was known.
func (l *refLook) failed(ctx context.Context, err error) (wait time.Duration) {
	r := l.out.Repository
	if l.stopping.Err() != nil { // this process ends: the next one looks
		return 0
	}
	refusal, ok := errors.AsType[*hostapi.Refusal](err)
	if !ok {
		refusal = &hostapi.Refusal{Code: hostapi.CodeTimeout, Reason: err.Error()}
	}
	outcome, reason := lookFailed, oneLine(refusal.Error())
	level, message := slog.LevelDebug, "refs cannot be read, it is tried again"
	wait = max(refusal.After, lookBackoff(l.every(), r.Failures))
	switch {
	case refusal.Fate == hostapi.FateFinal:
		outcome, message = lookRefused, "refs cannot be read: the repository is left out, and tried again later"
		wait = max(wait, lookRefusedWait)
		if r.Failures == 0 {
			level = slog.LevelWarn
		}
	case refusal.Fate == hostapi.FateSource, refusal.Code == hostapi.CodeNotSent, l.host.looks.isDown():
		pause, first := l.host.looks.fails(refusal.After, reason)
		message = "code host cannot be asked for refs: all repositories of the source wait"
		// Soon again, because most of these end for all repositories at once; but one that is the
		// only one must not be asked for the others' sake again and again.
		wait = max(pause, min(wait, l.every()))
		if first && r.Reason != reason {
			level = slog.LevelWarn
		}
	case r.Failures == 0:
		level = slog.LevelWarn
	}
	r.Failures, r.Reason = r.Failures+1, reason
	l.metrics.looks.WithLabelValues(l.source.Name, outcome).Inc()
	//nolint:sloglint // one of the constants above
	l.log.LogAttrs(ctx, level, message, l.attrs(slog.String("error", reason), slog.String("wait", wait.Round(time.Second).String()))...)
	l.out = store.Look{Repository: r}
	return wait
}

// lookBackoff is how long a repository waits whose refs could not be read so often before.
func lookBackoff(every time.Duration, failures int) time.Duration {
	wait := min(lookBackoffMost, every<<min(failures, 20))
	if wait <= 0 {
		wait = lookBackoffMost
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter
}

// save saves the look, and says what it has found.
func (l *refLook) save(ctx context.Context, wait time.Duration) {
	err := l.store.SaveLook(ctx, &l.out, wait)
	switch {
	case errors.Is(err, store.ErrStale):
		l.log.LogAttrs(ctx, slog.LevelDebug, "the look took too long, or the repository is not looked at any more", l.attrs()...)
		return
	case err != nil:
		l.logUnlessStopping("saving a look at refs failed, it is due when the lease ends", err)
		return
	}
	for i := range l.confirmed {
		m := &l.confirmed[i]
		if m.Built || m.Delivery == "" || !slices.Contains(l.out.Missed, m.MissedRef) {
			continue
		}
		d, err := l.delivery(m)
		if err != nil {
			continue // it was made before
		}
		d.ID, d.ReceivedAt = m.Delivery, m.MissedAt
		l.Ignore(d, mapping.ReasonMissed, nil)
		var more []slog.Attr
		if l.source.CatchUp.Build {
			more = append(more, slog.String("hint", "not built: the ignored log does not reach back to the look before, rules may have ignored it"))
		}
		l.missed(ctx, m.MissedRef, more...)
	}
}

func (l *refLook) attrs(more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("source", l.source.Name), slog.String("repository", l.out.Repository.Name)}, more...)
}
