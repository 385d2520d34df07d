package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// pausesSeen is what this process knows of pauses.
type pausesSeen struct {
	mu      sync.Mutex
	text    string    // the pauses, and the rules that are paused in their files, at the last look
	changed time.Time // when that changed last
	freed   time.Time // when EndHolds was called last
}

const (
	// freeFor is how long after a change builds are looked for that no pause holds any more: a
	// transaction that began before the change may still hold some.
	freeFor = 20 * time.Second
	// freeEvery is how often they are looked for without a change.
	freeEvery = 10 * time.Minute
	// longestPause is the longest time for which a pause may be asked.
	longestPause = 366 * 24 * time.Hour
	// freeWithin is how long the person who begins or ends a pause waits for the builds that are
	// held already. The watch goes on with the others.
	freeWithin = 2 * time.Second
)

// Pause keeps builds from being called, until Resume or its end: they wait, and their deadline
// stands still. A pause of the same kind and name goes on with the new reason, actor and end;
// before is what it was, nil if there was none. The error is [store.ErrPause] if nothing of this
// name is in the rules, or the end is not in the next year.
func (t *Trigger) Pause(ctx context.Context, p *store.Pause) (before *store.Pause, err error) {
	if err := t.checkPause(p, time.Now()); err != nil {
		return nil, err
	}
	before, err = t.store.Pause(ctx, p)
	if err != nil {
		return nil, err
	}
	attrs := pauseAttrs(p, slog.String("reason", p.Reason), slog.String("actor", p.Actor))
	if !p.Until.IsZero() {
		attrs = append(attrs, slog.Time("until", p.Until))
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "paused", attrs...)
	ctx, cancel := context.WithTimeout(ctx, freeWithin)
	defer cancel()
	t.lookAtPauses(ctx)
	return before, nil
}

// checkPause refuses a pause that would hold nothing.
func (t *Trigger) checkPause(p *store.Pause, now time.Time) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{store.ErrPause}, args...)...)
	}
	switch {
	case !slices.Contains(store.PauseKinds(), p.Kind):
		return wrong("kind: %q is none of all, target, rule, repository", p.Kind)
	case (p.Kind == store.PauseAll) != (p.Name == ""):
		return wrong("name: every kind but all needs one")
	case strings.TrimSpace(p.Reason) == "":
		return wrong("reason: say why, for those who see that builds wait")
	case !p.Until.IsZero() && !p.Until.After(now):
		return wrong("until: %s is in the past", p.Until.Format(time.RFC3339))
	case p.Until.Sub(now) > longestPause:
		return wrong("until: %s is more than a year from now; leave it out for a pause without an end", p.Until.Format(time.RFC3339))
	}
	t.mu.RLock()
	rules, targets := t.rules, slices.Collect(maps.Keys(t.targets))
	t.mu.RUnlock()
	unknown := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{store.ErrNotInRules}, args...)...)
	}
	switch p.Kind {
	case store.PauseTarget:
		if !slices.Contains(targets, p.Name) {
			return unknown("the rules have no target %q%s", p.Name, mapping.Suggest(p.Name, targets))
		}
	case store.PauseRule:
		if !slices.Contains(rules.RuleNames(), p.Name) {
			return unknown("no rule is called %q%s", p.Name, mapping.Suggest(p.Name, rules.RuleNames()))
		}
	case store.PauseRepository:
		if !rules.NamesRepository("", p.Name) {
			var known []string
			for _, s := range rules.Sources() {
				known = append(known, rules.NamedRepositories(s.Name)...)
			}
			return unknown("no rule names the repository %q%s", p.Name, mapping.Suggest(p.Name, known))
		}
	case store.PauseAll:
	}
	return nil
}

// Resume ends a pause, and returns it. Builds that no other pause is about go on: in the order in
// which they came, at the rate of their target. The error is [store.ErrNotFound] if there is no
// such pause; it says what is paused.
func (t *Trigger) Resume(ctx context.Context, kind store.PauseKind, name string, by mapping.By) (*store.Pause, error) {
	p, err := t.store.EndPause(ctx, kind, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, t.notPaused(ctx, kind, name, err)
	}
	if err != nil {
		return nil, err
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "resumed", pauseAttrs(p, slog.String("actor", by.Actor))...)
	ctx, cancel := context.WithTimeout(ctx, freeWithin)
	defer cancel()
	t.lookAtPauses(ctx)
	return p, nil
}

// notPaused says what is paused instead.
func (t *Trigger) notPaused(ctx context.Context, kind store.PauseKind, name string, err error) error {
	asked := &store.Pause{Kind: kind, Name: name}
	if reason := t.rulesNow().Paused(name); kind == store.PauseRule && reason != "" {
		return fmt.Errorf("%w: rule %s is paused in its file: %s: take paused out there", err, name, reason)
	}
	pauses, errList := t.store.Pauses(ctx)
	if errList != nil {
		return errList
	}
	if len(pauses) == 0 {
		return fmt.Errorf("%w: %s is not paused, and nothing else is", err, asked.What())
	}
	var paused []string
	for _, p := range pauses {
		paused = append(paused, p.What())
	}
	return fmt.Errorf("%w: %s is not paused by itself; paused are: %s", err, asked.What(), strings.Join(paused, ", "))
}

func (t *Trigger) rulesNow() *mapping.Ruleset {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rules
}

func pauseAttrs(p *store.Pause, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("kind", string(p.Kind)), slog.String("name", p.Name)}, more...)
}

// Pauses lists the pauses, the oldest first, and the rules that are paused in their files, with
// the reasons.
func (t *Trigger) Pauses(ctx context.Context) (pauses []*store.Pause, inRules map[string]string, err error) {
	pauses, err = t.store.Pauses(ctx)
	return pauses, t.pausedInRules(), err
}

func (t *Trigger) pausedInRules() map[string]string {
	rules, paused := t.rulesNow(), map[string]string{}
	for _, name := range rules.RuleNames() {
		if reason := rules.Paused(name); reason != "" {
			paused[name] = reason
		}
	}
	return paused
}

// lookAtPauses frees the builds that no pause is about any more, some time after the pauses or
// the rules have changed, and ends the hold that this process was started with. Every process
// does: each may have held some by rules that the others have no more.
func (t *Trigger) lookAtPauses(ctx context.Context) {
	t.pauses.mu.Lock()
	defer t.pauses.mu.Unlock()
	pauses, inRules, err := t.Pauses(ctx)
	if err != nil {
		t.logUnlessStopping("looking at the pauses failed", err)
		return
	}
	now := time.Now()
	var text strings.Builder
	onHold := false
	for _, p := range pauses {
		onHold = onHold || p.Kind == store.PauseAll
		fmt.Fprintf(&text, "%q %q %q %v\n", p.Kind, p.Name, p.Reason, p.Until)
	}
	fmt.Fprint(&text, inRules) // in the order of the names
	if text.String() != t.pauses.text {
		t.pauses.text, t.pauses.changed = text.String(), now
	}
	if !onHold && t.onHold.CompareAndSwap(true, false) {
		t.log.LogAttrs(ctx, slog.LevelInfo, "the hold is over: queues are worked from now on")
		t.wakeQueues()
	}
	if now.Sub(t.pauses.changed) > freeFor && now.Sub(t.pauses.freed) < freeEvery {
		return
	}
	n, err := t.store.EndHolds(ctx, t.rulesNow().Paused)
	if n > 0 {
		t.log.LogAttrs(ctx, slog.LevelInfo, "builds go on after a pause", slog.Int64("builds", n))
	}
	if err != nil {
		if ctx.Err() == nil {
			t.logUnlessStopping("freeing builds after a pause failed, it is tried again", err)
		}
		t.pauses.changed = now
		return
	}
	t.pauses.freed = now
}

// endPauses ends the pauses whose time is over, as the leader does, and sets their gauges.
func (t *Trigger) endPauses(ctx context.Context) {
	ended, err := t.store.EndPauses(ctx)
	if err != nil {
		t.logUnlessStopping("ending pauses whose time is over failed", err)
	}
	for _, p := range ended {
		t.log.LogAttrs(ctx, slog.LevelInfo, "pause has ended: its time is over", pauseAttrs(p)...)
	}
	pauses, inRules, err := t.Pauses(ctx)
	if err == nil {
		t.metrics.setPaused(pauses, inRules)
	}
	if len(ended) > 0 {
		t.lookAtPauses(ctx)
	}
}

// holdAll begins the hold that this process is started with. A pause of everything that ends by itself
// becomes one without an end.
func (t *Trigger) holdAll(ctx context.Context) error {
	pauses, err := t.store.Pauses(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(pauses, func(p *store.Pause) bool { return p.Kind == store.PauseAll && p.Until.IsZero() }) {
		p := &store.Pause{Kind: store.PauseAll, Reason: "started with --hold", Actor: "serve --hold"}
		if _, err := t.store.Pause(ctx, p); err != nil {
			return err
		}
	}
	t.onHold.Store(true)
	t.log.LogAttrs(ctx, slog.LevelWarn, "on hold: deliveries are accepted, and nothing is called, searched for, followed or said "+
		"until 'buildbridge resume --all'")
	return nil
}
