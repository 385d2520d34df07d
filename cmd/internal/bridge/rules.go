package bridge

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger"
)

// loaded is one set of rules with all it takes to serve it.
type loaded struct {
	rules   *mapping.Ruleset
	sources map[string]*handlers.Source
	targets []trigger.Target
}

// load reads the rules and resolves what they refer to. Nothing of the bridge
// changes. Targets that are as before keep their clients, and so their tokens and
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
		if source.Keys.Insecure {
			b.log.LogAttrs(ctx, slog.LevelWarn, "source takes deliveries from anybody, as the rules say", slog.String("source", s.Name))
		}
	}
	for _, t := range rules.Targets() {
		service, err := b.o.Service(t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if before, ok := b.serving.target(t.Name); ok && reflect.DeepEqual(before.Target, *t) {
			closeIdle(service)
			service = before.Service
		}
		next.targets = append(next.targets, trigger.Target{Target: *t, Service: service})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, w := range warnings {
		b.log.LogAttrs(ctx, slog.LevelWarn, "rules: warning", faultAttrs(w)...)
	}
	return next, nil
}

// apply serves by what was loaded from now on: the targets first, so that no
// build is decided for one that nobody knows yet.
func (b *Bridge) apply(ctx context.Context, next *loaded) {
	b.trigger.SetRules(ctx, next.targets, slices.Collect(next.rules.Jobs()))
	b.handlers.Swap(&handlers.State{Rules: next.rules, Sources: next.sources})
	if b.serving != nil {
		for _, before := range b.serving.targets {
			if now, ok := next.target(before.Name); !ok || now.Service != before.Service {
				closeIdle(before.Service)
			}
		}
	}
	b.serving = next
}

// Reload reads the rules and the secrets of the sources anew. Whatever is wrong
// with them is logged, and what was served before is served on. Calls wait for
// each other.
func (b *Bridge) Reload(ctx context.Context) {
	b.reload.Lock()
	defer b.reload.Unlock()
	next, err := b.load(ctx)
	if err != nil {
		for _, fault := range parts(err) {
			attrs := []slog.Attr{slog.String("error", fault.Error())}
			if f, ok := errors.AsType[mapping.Fault](fault); ok {
				attrs = faultAttrs(f)
			}
			b.log.LogAttrs(ctx, slog.LevelError, "rules: fault", attrs...)
		}
		b.log.LogAttrs(ctx, slog.LevelError, "rules not reloaded, the old ones serve on", slog.Int("rules", b.serving.rules.Len()))
		b.handlers.ReloadFailed()
		return
	}
	b.apply(ctx, next)
	b.log.LogAttrs(ctx, slog.LevelInfo, "rules reloaded", b.serving.attrs()...)
}

// parts takes apart what was found at once.
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
	for _, each := range joined.Unwrap() {
		errs = append(errs, parts(each)...)
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

// target finds a target by its name. Nothing is loaded at first.
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

// attrs say what is served: how many rules, and for whom.
func (l *loaded) attrs() []slog.Attr {
	webhooks := make([]string, 0, len(l.sources))
	for name := range l.sources {
		webhooks = append(webhooks, "/webhooks/"+name)
	}
	slices.Sort(webhooks)
	targets := make([]string, 0, len(l.targets))
	for _, t := range l.targets {
		targets = append(targets, t.Name)
	}
	return []slog.Attr{slog.Int("rules", l.rules.Len()), slog.Any("webhooks", webhooks), slog.Any("targets", targets)}
}

// closeIdle closes the idle connections of a client that is not used any more.
func closeIdle(service trigger.Service) {
	if c, ok := service.(interface{ Close() }); ok {
		c.Close()
	}
}
