package rulesfile

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must stay as they are before a change is told.
	// Whatever writes a file in its place may pause in between, and half a file can
	// be well-formed. No time is long enough for sure: see docs/rules.md.
	settle = 2 * time.Second
	// gather is how long events are gathered before a look.
	gather = 100 * time.Millisecond
	// look is how often the files are looked at without being told to: network
	// file systems, and symlinks that lead elsewhere, tell nothing.
	look = 5 * time.Second
)

// Watcher tells when the files that paths name change.
//
// The directories of the files are watched, not the files: editors replace a
// file by renaming another one over it, and a ConfigMap swaps a symlink. What
// happens there is only a reason to look; a change is that a file's size, time or
// inode differs, a file is new or a file is gone. So other files in the same
// directory, a busy database among them, are no change.
type Watcher struct {
	paths   []string
	changed chan struct{}
	close   chan struct{}
	done    sync.WaitGroup
	log     *slog.Logger
	notify  *fsnotify.Watcher // nil where the system offers none
	state   snapshot
}

// Watch begins to watch: what changes after it returned is told. Read the files
// after it. The caller closes the watcher.
func Watch(paths []string, log *slog.Logger) *Watcher {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("rules are looked at in intervals, because they cannot be watched", "interval", look.String(), "error", err)
		notify = nil
	}
	return watch(paths, log, notify, look, settle)
}

func watch(paths []string, log *slog.Logger, notify *fsnotify.Watcher, interval, settle time.Duration) *Watcher {
	w := &Watcher{
		paths:   slices.Clone(paths),
		changed: make(chan struct{}, 1),
		close:   make(chan struct{}),
		log:     log,
		notify:  notify,
	}
	w.watchDirs()
	w.state = take(w.paths)
	w.done.Go(func() { w.run(interval, settle) })
	return w
}

// Changed gets a value after the files changed and came to rest. Changes that
// nobody took yet are one.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Close stops watching.
func (w *Watcher) Close() error {
	close(w.close)
	w.done.Wait()
	if w.notify == nil {
		return nil
	}
	return w.notify.Close()
}

func (w *Watcher) run(interval, settle time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var events chan fsnotify.Event
	var faults chan error
	if w.notify != nil {
		events, faults = w.notify.Events, w.notify.Errors
	}
	// Events only start the timer; a directory where much happens must not put
	// off the look for ever. Until the look they are left to the system, which
	// makes one of many alike.
	timer := time.NewTimer(gather)
	timer.Stop()
	defer timer.Stop()
	waiting, pending := false, false
	for {
		heard := events
		if waiting {
			heard = nil
		}
		select {
		case <-heard:
			waiting = true
			timer.Reset(gather)
			continue
		case err := <-faults:
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // they told nothing that a look does not
				w.log.Warn("watching the rules", "error", err)
			}
		case <-ticker.C:
		case <-timer.C:
			waiting = false
			drop(events, dropFor)
		case <-w.close:
			return
		}
		now := take(w.paths)
		switch {
		case !now.equal(w.state):
			w.state, pending = now, true
			waiting = true
			timer.Reset(settle)
		case pending && !waiting:
			pending = false
			w.watchDirs() // those that were replaced have to be watched anew
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

// dropFor is how long events are dropped before a look. What is left of them is
// cause for another one.
const dropFor = time.Millisecond

// drop takes what has been waiting.
func drop(events <-chan fsnotify.Event, d time.Duration) {
	for over := time.After(d); ; {
		select {
		case <-events:
		case <-over:
			return
		}
	}
}

// watchDirs watches every directory in which a change can show: the one a path
// is in, the path itself if it is one, and where symlinks lead.
func (w *Watcher) watchDirs() {
	if w.notify == nil {
		return
	}
	var dirs []string
	for _, path := range w.paths {
		for _, p := range []string{path, resolved(path)} {
			dirs = append(dirs, filepath.Dir(p))
			if info, err := os.Stat(p); err == nil && info.IsDir() {
				dirs = append(dirs, p)
			}
		}
	}
	slices.Sort(dirs)
	watched := w.notify.WatchList()
	for _, dir := range slices.Compact(dirs) {
		// A directory that was removed and made again has lost its watch; adding
		// one that is still watched does nothing.
		if err := w.notify.Add(dir); err != nil && !slices.Contains(watched, dir) {
			w.log.Warn("rules are looked at in intervals, because their directory cannot be watched",
				"directory", dir, "interval", look.String(), "error", err)
		}
	}
}

func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// snapshot is what the files looked like at a time.
type snapshot struct {
	names []string
	infos []os.FileInfo // nil for what cannot be looked at
	errs  string        // why not
}

func take(paths []string) snapshot {
	var s snapshot
	for _, e := range list(paths) {
		var info os.FileInfo
		if e.err != nil {
			s.errs += e.err.Error() + "\n"
		} else if now, err := os.Stat(e.name); err == nil {
			info = now
		}
		s.names, s.infos = append(s.names, e.name), append(s.infos, info)
	}
	return s
}

func (s snapshot) equal(other snapshot) bool {
	return s.errs == other.errs && slices.Equal(s.names, other.names) &&
		slices.EqualFunc(s.infos, other.infos, func(a, b os.FileInfo) bool {
			if a == nil || b == nil {
				return a == b
			}
			return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
		})
}
