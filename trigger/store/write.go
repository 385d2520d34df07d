package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// write is one change that waits to be written. All that wait at the same time share one
// transaction, and so one sync of the disk. If that transaction fails, each is written
// again in a transaction of its own.
type write struct {
	ctx   context.Context //nolint:containedctx // of the caller, who waits
	kind  writeKind
	locks []int64 // held until the commit, where several processes write

	acceptance *acceptance                             // of writeAcceptance
	build      *Build                                  // of writeSave, writeHold and writeCall
	log        string                                  // of writeSave: the build's log, as JSON
	now        time.Time                               // of writeHold and writeCall
	hold       Hold                                    // what writeHold and writeCall found
	do         func(ctx context.Context, tx *tx) error // of writeOther
	idle       bool                                    // set by do if it found nothing to write

	err  error // of this write alone: the others of the transaction go on
	done chan error
}

// writeKind says how a write is written. Writes of one kind that share a transaction are
// written together, with one statement for many where that is possible.
type writeKind int

const (
	writeAcceptance writeKind = iota
	writeSave
	writeHold
	writeCall
	writeOther
)

// writeAll writes all writes of one kind.
type writeAll func(ctx context.Context, tx *tx, all []*write) error

// errClosed is what a write gets that comes after Close.
var errClosed = errors.New("store: closed")

// write runs do in a transaction, and returns after the commit. do may run twice: it must
// set its results anew each time. An error of do rolls the transaction back, except for
// ErrStale, ErrClaimed and ErrReplayed: do must have changed nothing when it returns one
// of these, and the other writes of the transaction go on.
func (s *Store) write(ctx context.Context, locks []int64, do func(ctx context.Context, tx *tx) error) error {
	return s.enqueue(ctx, &write{kind: writeOther, locks: locks, do: do})
}

// writeSome is write for a change that may find no rows. do returns how many it changed.
func (s *Store) writeSome(ctx context.Context, do func(ctx context.Context, tx *tx) (changed int64, err error)) error {
	w := &write{kind: writeOther}
	w.do = func(ctx context.Context, tx *tx) error {
		changed, err := do(ctx, tx)
		w.idle = changed == 0
		return err
	}
	return s.enqueue(ctx, w)
}

// writeApart is writeSome in a transaction that it shares with no other write, where several
// processes write: it locks rows in no order that others follow, and must hold nothing that
// they wait for while it waits itself.
func (s *Store) writeApart(ctx context.Context, do func(ctx context.Context, tx *tx) (changed int64, err error)) error {
	if s.shared == nil {
		return s.writeSome(ctx, do)
	}
	w := &write{ctx: ctx, kind: writeOther}
	w.do = func(ctx context.Context, tx *tx) error {
		changed, err := do(ctx, tx)
		w.idle = changed == 0
		return err
	}
	select {
	case s.singles <- struct{}{}:
		defer func() { <-s.singles }()
		return cmp.Or(s.transaction([]*write{w}), w.err) //nolint:contextcheck // what is begun is committed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enqueue hands a write over, and returns after its commit. If ctx ends before, it may
// still be committed.
func (s *Store) enqueue(ctx context.Context, w *write) error {
	w.ctx, w.done = ctx, make(chan error, 1)
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.life.Done():
		return errClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errClosed
	}
}

// maxBatch bounds how many writes share a transaction, and so how long the first of them
// waits for the others.
const maxBatch = 256

func (s *Store) writeLoop() {
	defer close(s.stopped)
	for s.life.Err() == nil {
		select {
		case w := <-s.writes:
			s.commit(takeWaiting([]*write{w}, s.writes, maxBatch))
		case <-s.life.Done():
		}
	}
	// What was handed over before Close is still written.
	for batch := takeWaiting(nil, s.writes, maxBatch); len(batch) > 0; batch = takeWaiting(nil, s.writes, maxBatch) {
		s.commit(batch)
	}
}

// takeWaiting appends what waits in a channel to a batch, up to a number.
func takeWaiting[T any](batch []T, from <-chan T, most int) []T {
	for len(batch) < most {
		select {
		case next := <-from:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch in one transaction. If that fails, each write gets a transaction
// of its own, so that a bad one fails alone.
func (s *Store) commit(batch []*write) {
	err := s.transaction(batch)
	if err == nil || len(batch) == 1 {
		for _, w := range batch {
			w.done <- cmp.Or(err, w.err)
		}
		return
	}
	for _, w := range batch {
		if w.acceptance != nil {
			w.acceptance.again = true
		}
	}
	s.log.LogAttrs(s.life, slog.LevelWarn, "shared transaction failed, its writes are tried again one by one",
		slog.Int("writes", len(batch)), slog.String("error", err.Error()))
	alone := func(w *write) { w.done <- cmp.Or(s.transaction([]*write{w}), w.err) }
	if s.shared == nil { // one connection writes
		for _, w := range batch {
			alone(w)
		}
		return
	}
	// A write that waits for a lock of another process must not hold up all others.
	s.loops.Go(func() {
		for _, w := range batch {
			s.singles <- struct{}{}
			s.loops.Go(func() {
				defer func() { <-s.singles }()
				if err := w.ctx.Err(); err != nil { // nobody waits for it any more
					w.done <- err
					return
				}
				alone(w)
			})
		}
	})
}

// transactionTimeout ends a transaction that hangs: because it waits for a lock or for the
// server. A statement of SQLite that waits for the disk is not cut short.
const transactionTimeout = 10 * time.Second

// transaction writes a batch in one transaction, and remembers whether that failed.
func (s *Store) transaction(batch []*write) (err error) {
	began := time.Now()
	s.writing.Store(&began)
	defer func() {
		s.writing.CompareAndSwap(&began, nil) // where several run, the last one counts
		switch {
		case err == nil:
			failed, idle := s.lastFailure.Load(), !slices.ContainsFunc(batch, func(w *write) bool { return !w.idle })
			if failed != nil && (!idle || time.Since(failed.at) > failureLasts) {
				s.lastFailure.CompareAndSwap(failed, nil)
			}
		case len(batch) == 1 && !s.db.badRow(err): // in a larger batch one bad write may be the reason
			s.lastFailure.Store(&failure{err, time.Now()})
		}
		if err != nil {
			s.db.checkpoint(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	tx, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	if err := s.writeBatch(ctx, tx, batch); err != nil {
		if undo := tx.undo(); undo != nil {
			err = errors.Join(err, fmt.Errorf("roll back: %w", undo))
		}
		return err
	}
	for _, target := range tx.work {
		notify(s.notified, target)
	}
	return nil
}

// writeBatch writes and commits.
func (s *Store) writeBatch(ctx context.Context, tx *tx, batch []*write) error {
	if s.shared != nil {
		// All locks at once and in order, so that no two transactions wait for each other.
		var locks []int64
		for _, w := range batch {
			locks = append(locks, w.locks...)
		}
		slices.Sort(locks)
		s.shared.lock(tx, slices.Compact(locks))
	}
	for kind, writeTogether := range [...]writeAll{
		writeAcceptance: s.acceptAll, writeSave: s.saveAll, writeHold: holdAll, writeCall: s.callAll, writeOther: doEach,
	} {
		var all []*write
		for _, w := range batch {
			if w.kind == writeKind(kind) {
				w.err = nil
				all = append(all, w)
			}
		}
		if len(all) == 0 {
			continue
		}
		if err := writeTogether(ctx, tx, all); err != nil {
			return err
		}
	}
	if len(tx.reports) > 0 {
		if err := writeReports(ctx, tx); err != nil {
			return err
		}
	}
	if s.shared != nil && len(tx.work) > 0 {
		s.shared.publish(tx, tx.work)
	}
	if err := tx.end(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func doEach(ctx context.Context, tx *tx, all []*write) error {
	for _, w := range all {
		switch err := w.do(ctx, tx); {
		case errors.Is(err, ErrStale), errors.Is(err, ErrClaimed), errors.Is(err, ErrReplayed):
			w.err = err
		case err != nil:
			return err
		}
	}
	return nil
}
