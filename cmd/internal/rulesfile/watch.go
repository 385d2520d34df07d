package rulesfile

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/cmd/internal/filestate"
)

const (
	// interval is how often the files are looked at.
	interval = 500 * time.Millisecond
	// settle is how long files must be unchanged before a change is reported. A program that
	// writes a file in place may pause, and half a file can be well-formed. No time is long
	// enough in every case: see docs/rules.md.
	settle = 2 * time.Second
)

// Watcher reports when the files that paths name change, or their fences: when a file is
// written, replaced, new or gone. It looks at them in intervals: file systems of other machines, and symlinks
// that lead elsewhere, send no events.
type Watcher struct {
	paths   []string
	changed chan struct{}
	close   chan struct{}
	done    sync.WaitGroup
}

// Watch begins to watch. It reports what changes after it has returned, so read the files
// after it. The caller closes the watcher.
func Watch(paths []string) *Watcher { return watch(paths, interval, settle) }

func watch(paths []string, interval, settle time.Duration) *Watcher {
	w := &Watcher{paths: slices.Clone(paths), changed: make(chan struct{}, 1), close: make(chan struct{})}
	first := state(w.paths)
	w.done.Go(func() { w.run(first, interval, settle) })
	return w
}

// Changed receives a value after the files have changed and settled. It holds one value at
// a time, whatever changes until that is received.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Close stops watching.
func (w *Watcher) Close() {
	close(w.close)
	w.done.Wait()
}

func (w *Watcher) run(last string, interval, settle time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var since time.Time // when the change was seen that is not reported yet
	for {
		select {
		case <-ticker.C:
		case <-w.close:
			return
		}
		now := state(w.paths)
		switch {
		case now != last:
			last, since = now, time.Now()
		case !since.IsZero() && time.Since(since) >= settle:
			since = time.Time{}
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

// state describes the files that the paths name, their fences, and why others cannot be read.
func state(paths []string) string {
	var names, faults []string
	fences := map[string]bool{}
	for _, e := range list(paths) {
		names = append(names, e.name)
		if e.fence != "" {
			fences[e.fence] = true
		}
		if e.err != nil {
			faults = append(faults, e.err.Error())
		}
	}
	names = append(names, slices.Sorted(maps.Keys(fences))...)
	return filestate.Of(names...) + strings.Join(faults, "\n")
}
