package trigger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// Overview is what an operator looks at first. The counts are those of the database, and so of all
// replicas. What the last calls gave is what this process has seen since its start.
type Overview struct {
	Targets  []store.TargetState // of the rules, and others that have builds; by name
	Sources  []store.SourceState // those with something to say or to catch up; by name
	Replicas []store.Replica
	OnHold   bool          // this process was started with --hold, and everything is still paused
	Faults   []store.Fault // what does not work now

	Pauses  []*store.Pause    // the oldest first
	InRules map[string]string // rules that are paused in their files, with the reasons
}

// lastCalls is what the last calls of a target gave.
type lastCalls struct {
	good, bad time.Time
	err       string
}

// called notes what a call gave; err is nil for a build number.
func (t *target) called(err error, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.last.good = at
	} else {
		t.last.bad, t.last.err = at, oneLine(err.Error())
	}
}

func (t *target) lastCalls() lastCalls {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// unknownFor is how long it may be unknown whether a call started its build until that is a fault. A
// search that finds out takes a few minutes.
const unknownFor = 10 * time.Minute

// Overview looks at everything.
func (t *Trigger) Overview(ctx context.Context) (o Overview, err error) {
	stats, err := t.store.Queue(ctx)
	if err != nil {
		return o, err
	}
	running, err := t.store.Running(ctx)
	if err != nil {
		return o, err
	}
	persons, err := t.store.WaitingForPersons(ctx)
	if err != nil {
		return o, err
	}
	unknown, err := t.store.Unknown(ctx, time.Now().Add(-unknownFor))
	if err != nil {
		return o, err
	}
	statuses, err := t.store.WaitingStatuses(ctx)
	if err != nil {
		return o, err
	}
	missed, err := t.store.CountMissed(ctx)
	if err != nil {
		return o, err
	}
	readable, err := t.readable(ctx)
	if err != nil {
		return o, err
	}
	if o.Replicas, err = t.store.Replicas(ctx); err != nil {
		return o, err
	}
	if o.Pauses, o.InRules, err = t.Pauses(ctx); err != nil {
		return o, err
	}
	o.OnHold, o.Faults = t.onHold.Load(), []store.Fault{}
	now := time.Now()
	if err := t.Ready(ctx); err != nil {
		o.fault(store.FaultOfBridge, "", "deliveries are not accepted: %s", oneLine(err.Error()))
	}
	if !slices.ContainsFunc(o.Replicas, func(r store.Replica) bool { return r.Leads }) {
		o.fault(store.FaultOfBridge, "", "no replica leads: if that stays so, their logs say why")
	}
	o.addTargets(t, stats, running, persons, now)
	for _, target := range slices.Sorted(maps.Keys(unknown)) {
		o.fault(store.FaultOfTarget, target, "target %[1]s: calls had no answer %[2]d minutes ago or earlier, and it is not known whether "+
			"they started %[3]s: buildbridge builds list --state unknown --target '%[1]s' says why",
			target, int(unknownFor.Minutes()), printable.Count(int(unknown[target]), "build"))
	}
	o.addSources(t, statuses, missed, readable)
	return o, nil
}

func (o *Overview) fault(about store.FaultAbout, name, format string, args ...any) {
	o.Faults = append(o.Faults, store.Fault{About: about, Name: name, Says: fmt.Sprintf(format, args...)})
}

func (o *Overview) addTargets(t *Trigger, stats []store.QueueStat, running, persons map[string]int64, now time.Time) {
	t.mu.RLock()
	targets := maps.Clone(t.targets)
	t.mu.RUnlock()
	names := slices.AppendSeq(targetsOf(stats, running), maps.Keys(targets))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s := store.TargetState{Target: name, Running: running[name], Persons: persons[name]}
		for _, q := range stats {
			if q.Target == name {
				s.Add(q)
			}
		}
		if target := targets[name]; target == nil {
			if s.Waiting+s.Calling+s.Unknown+s.Running > 0 {
				o.fault(store.FaultOfTarget, name,
					"target %[1]s has builds, and is not in the rules: put it back, or run buildbridge builds cancel --target '%[1]s'", name)
			}
		} else {
			last := target.lastCalls()
			s.InRules, s.Good, s.Bad, s.Error = true, last.good, last.bad, last.err
			if until := target.paused.Load(); until != nil && until.After(now) {
				s.Asked = *until
			}
			if s.Bad.After(s.Good) {
				o.fault(store.FaultOfTarget, name, "target %s: the last call, at %s, started no build: %s",
					name, s.Bad.UTC().Format(time.RFC3339), s.Error)
			}
		}
		o.Targets = append(o.Targets, s)
	}
}

func (o *Overview) addSources(t *Trigger, statuses []store.StatusStat, missed map[string]int64, readable map[string]store.Readable) {
	t.mu.RLock()
	hosts := maps.Clone(t.hosts)
	t.mu.RUnlock()
	sources := map[string]*store.SourceState{}
	source := func(name string) *store.SourceState {
		if sources[name] == nil {
			sources[name] = &store.SourceState{Source: name}
		}
		return sources[name]
	}
	for name, h := range hosts {
		source(name).Error = h.why()
	}
	for _, q := range statuses {
		source(q.Source).Statuses = q.Behind
	}
	for name, n := range missed {
		source(name).Missed = n
	}
	for name, r := range readable {
		source(name).Failing = r.Failing
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		s := sources[name]
		o.Sources = append(o.Sources, *s)
		if s.Error != "" {
			o.fault(store.FaultOfSource, name, "source %s takes no statuses: %s", name, s.Error)
		}
		if s.Failing > 0 {
			o.fault(store.FaultOfSource, name,
				"source %s: the refs of %d repositories cannot be read, and their missed pushes are not found: %s",
				name, s.Failing, readable[name].Why)
		}
		if s.Missed > 0 {
			o.fault(store.FaultMissed, name, "source %s: %s missed", name, printable.Was(int(s.Missed), "push"))
		}
	}
}

// readable counts the repositories whose refs can be read. Of a host that can be asked for none now,
// only those have been tried that had their turn.
func (t *Trigger) readable(ctx context.Context) (map[string]store.Readable, error) {
	counted, err := t.store.Readable(ctx)
	for source, r := range counted {
		if h := t.host(source); h == nil {
			delete(counted, source)
		} else if why := h.looks.why(); why != "" {
			counted[source] = store.Readable{Failing: r.OK + r.Failing, Why: why}
		}
	}
	return counted, err
}
