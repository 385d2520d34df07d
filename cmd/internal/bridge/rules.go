package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger"
)

// loaded is a set of rules with its sources and targets.
type loaded struct {
	rules   *mapping.Ruleset
	sources map[string]*handlers.Source
	targets []trigger.Target
	hosts   []host // of the sources with api at a host that takes statuses
}

// load reads the rules and resolves what they refer to. It does not change the bridge.
// Targets and code hosts that have not changed keep their clients, with their tokens and
// connections.
func (b *Bridge) load(ctx context.Context) (*loaded, error) {
	rules, warnings, err := b.o.Rules()
	if err != nil {
		return nil, err
	}
	next := &loaded{rules: rules, sources: map[string]*handlers.Source{}}
	var errs []error
	for _, s := range rules.Sources() {
		source, err := b.o.Source(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		next.sources[s.Name] = source
		warn(ctx, b.log, "source", s.Name, source.Doubts)
		if source.Insecure {
			b.log.LogAttrs(ctx, slog.LevelWarn, "source is insecure: it accepts deliveries from anybody", slog.String("source", s.Name))
		}
	}
	for _, s := range rules.Sources() {
		if s.API == nil {
			continue
		}
		if s.CatchUp != nil && b.o.KeepIgnored < 0 {
			errs = append(errs, fmt.Errorf("source %q: catch_up: with --keep-ignored 0 it cannot know what the rules ignored: "+
				"set --keep-ignored to 1000 or more, or remove catch_up", s.Name))
			continue
		}
		api, err := b.o.Host(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if before, ok := b.serving.host(s.Name); ok && before.same(s) {
			closeIdle(api)
			api = before.API
		}
		next.hosts = append(next.hosts, host{trigger.Host{Source: s.Name, API: api}, s})
	}
	for _, t := range rules.Targets() {
		target, err := b.o.Target(t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if before, ok := b.serving.target(t.Name); ok && reflect.DeepEqual(before.Target, *t) {
			closeIdle(target.Service, target.Pipelines)
			target = before
		}
		next.targets = append(next.targets, target)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	few, more := mapping.FewOfEach(warnings)
	for _, w := range few {
		b.log.LogAttrs(ctx, slog.LevelWarn, "rules: warning", faultAttrs(w)...)
	}
	for _, m := range more {
		b.log.LogAttrs(ctx, slog.LevelWarn, "rules: more warnings like this", append(faultAttrs(m.Fault), slog.Int("more", m.More))...)
	}
	return next, nil
}

// apply puts what was loaded into use. The targets come first, so that no build is decided
// for a target that the trigger does not know yet.
func (b *Bridge) apply(next *loaded) {
	hosts := make([]trigger.Host, len(next.hosts))
	for i, h := range next.hosts {
		hosts[i] = h.Host
	}
	b.trigger.SetRules(next.targets, hosts, next.rules)
	b.handlers.Swap(&handlers.State{Rules: next.rules, Sources: next.sources})
	if b.serving != nil {
		for _, before := range b.serving.targets {
			if now, ok := next.target(before.Name); !ok || now.Service != before.Service {
				closeIdle(before.Service, before.Pipelines)
			}
		}
		for _, before := range b.serving.hosts {
			if now, ok := next.host(before.Source); !ok || now.API != before.API {
				closeIdle(before.API)
			}
		}
	}
	force := &admin.RulesInForce{Rules: next.rules, LoadedAt: time.Now()}
	if b.serving != nil {
		change := next.rules.Since(b.serving.rules)
		force.Before, force.Change = b.serving.rules.Digest(), &change
	}
	b.serving = next
	b.inForce.Store(force)
}

// Reload reads the rules and the secrets of the sources again. If anything is wrong with
// them, it is logged, and the old ones stay in use. It is safe for concurrent use.
func (b *Bridge) Reload(ctx context.Context) {
	b.reload.Lock()
	defer b.reload.Unlock()
	next, err := b.load(ctx)
	if err != nil {
		faults := parts(err)
		b.logFaults(ctx, faults)
		b.log.LogAttrs(ctx, slog.LevelError, "rules not reloaded, the old ones stay in use", slog.Int("rules", b.serving.rules.Len()))
		b.handlers.ReloadFailed()
		failed := *b.inForce.Load()
		failed.Failed = &admin.FailedReload{At: time.Now(), Faults: len(faults), First: faults[0].Error()}
		b.inForce.Store(&failed)
		return
	}
	before := b.serving
	b.apply(next) //nolint:contextcheck // the queues it starts live as long as the bridge
	b.logChange(ctx, before, next, b.inForce.Load().Change)
}

// logFaults logs what is wrong with rules that are not loaded.
func (b *Bridge) logFaults(ctx context.Context, errs []error) {
	var faults []mapping.Fault
	for _, err := range errs {
		if f, ok := errors.AsType[mapping.Fault](err); ok {
			faults = append(faults, f)
		} else {
			b.log.LogAttrs(ctx, slog.LevelError, "rules: fault", slog.String("error", err.Error()))
		}
	}
	few, more := mapping.FewOfEach(faults)
	for _, f := range few {
		b.log.LogAttrs(ctx, slog.LevelError, "rules: fault", faultAttrs(f)...)
	}
	for _, m := range more {
		b.log.LogAttrs(ctx, slog.LevelError, "rules: more faults like this", append(faultAttrs(m.Fault), slog.Int("more", m.More))...)
	}
}

// logChange logs what a reload changed.
func (b *Bridge) logChange(ctx context.Context, before, now *loaded, change *mapping.Change) {
	attrs := append(now.attrs(), slog.String("digest_before", before.rules.Digest()))
	attrs = append(attrs, changeAttrs("rules", change.Rules)...)
	attrs = append(attrs, changeAttrs("sources", change.Sources)...)
	attrs = append(attrs, changeAttrs("targets", change.Targets)...)
	b.log.LogAttrs(ctx, slog.LevelInfo, "rules reloaded", attrs...)

	// A file may be incomplete.
	if 2*len(change.Rules.Removed) <= before.rules.Len() && len(change.Sources.Removed)+len(change.Targets.Removed) == 0 {
		return
	}
	attrs = []slog.Attr{slog.Int("rules", now.rules.Len()), slog.Int("rules_before", before.rules.Len())}
	attrs = append(attrs, namesAttr("rules_gone", change.Rules.Removed)...)
	attrs = append(attrs, namesAttr("sources_gone", change.Sources.Removed)...)
	attrs = append(attrs, namesAttr("targets_gone", change.Targets.Removed)...)
	b.log.LogAttrs(ctx, slog.LevelWarn, "rules reloaded, and much is gone: is every file there, and complete?", attrs...)
}

// changeAttrs are what came, went and changed, of rules, sources or targets.
func changeAttrs(of string, c mapping.NamesChange) []slog.Attr {
	return slices.Concat(namesAttr(of+"_added", c.Added), namesAttr(of+"_removed", c.Removed), namesAttr(of+"_changed", c.Changed))
}

// maxNames is how many names a line of the log lists.
const maxNames = 20

// namesAttr is a list of names for the log, nothing if there are none.
func namesAttr(key string, names []string) []slog.Attr {
	if len(names) == 0 {
		return nil
	}
	if more := len(names) - maxNames; more > 0 {
		names = append(slices.Clone(names[:maxNames]), fmt.Sprintf("and %d more", more))
	}
	return []slog.Attr{slog.Any(key, names)}
}

// parts splits an error into the faults and errors that it joins.
func parts(err error) []error {
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		errs := make([]error, len(faults))
		for i, f := range faults {
			errs[i] = f
		}
		return errs
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var errs []error
	for _, part := range joined.Unwrap() {
		errs = append(errs, parts(part)...)
	}
	return errs
}

func faultAttrs(f mapping.Fault) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("file", f.File), slog.Int("line", f.Line), slog.Int("column", f.Column), slog.String("error", f.Message),
	}
	if f.Rule != "" {
		attrs = append(attrs, slog.String("rule", f.Rule))
	}
	if f.Field != "" {
		attrs = append(attrs, slog.String("field", f.Field))
	}
	return attrs
}

// target finds a target by its name. l is nil before the first rules.
func (l *loaded) target(name string) (trigger.Target, bool) {
	if l == nil {
		return trigger.Target{}, false
	}
	i := slices.IndexFunc(l.targets, func(t trigger.Target) bool { return t.Name == name })
	if i < 0 {
		return trigger.Target{}, false
	}
	return l.targets[i], true
}

// host finds the code host of a source. l is nil before the first rules.
func (l *loaded) host(source string) (host, bool) {
	if l == nil {
		return host{}, false
	}
	i := slices.IndexFunc(l.hosts, func(h host) bool { return h.Source == source })
	if i < 0 {
		return host{}, false
	}
	return l.hosts[i], true
}

// attrs are the number and the digest of the rules, the webhooks and the targets, for the log.
func (l *loaded) attrs() []slog.Attr {
	webhooks := make([]string, 0, len(l.sources))
	for name := range l.sources {
		webhooks = append(webhooks, "/webhooks/"+name)
	}
	slices.Sort(webhooks)
	return []slog.Attr{
		slog.Int("rules", l.rules.Len()), slog.String("digest", l.rules.Digest()),
		slog.Any("webhooks", webhooks), slog.Any("targets", l.targetNames()),
	}
}

func (l *loaded) targetNames() []string {
	names := make([]string, 0, len(l.targets))
	for _, t := range l.targets {
		names = append(names, t.Name)
	}
	return names
}

// closeIdle closes the idle connections of clients that are no longer used.
func closeIdle(clients ...any) {
	for _, client := range clients {
		if c, ok := client.(interface{ Close() }); ok {
			c.Close()
		}
	}
}
