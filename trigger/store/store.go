package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"
	"github.com/google/uuid"
)

// Options of a store.
type Options struct {
	// Database is the path of a SQLite file, made if it is not there, on a local
	// disk; or the URL of a Postgres database, postgres://…, which several
	// processes may share.
	Database string
	Logger   *slog.Logger // required
}

// Store is safe for concurrent use.
type Store struct {
	db     database
	log    *slog.Logger
	caller string // names this process in builds it calls

	writes  chan *write
	ending  chan struct{}   // closed by Close: what was put aside is written
	life    context.Context //nolint:containedctx // of the store, not of a request: it ends then, and nothing new is taken
	end     context.CancelFunc
	stopped chan struct{} // closed when nothing is written any more
	singles chan struct{} // slots of writes that are retried singly, where they can run side by side

	lastWrite atomic.Pointer[failure]   // of the last transaction; nil if it did not fail
	writing   atomic.Pointer[time.Time] // when the transaction began that runs; nil for none
	close     func() error
	ignoredLoops    sync.WaitGroup
	done      sync.WaitGroup

	notified chan string // targets that got work

	ignored    ignoredLog
	pruning sync.Mutex // not while blocks are written
	scratch    sync.Pool  // *[]byte
}

// Open opens the database and brings its tables up to date. It takes a SQLite
// file for itself: a second process that opens it gets an error.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		return nil, errors.New("store: Options.Logger is missing")
	}
	if o.Database == "" {
		return nil, errors.New("store: Options.Database is missing")
	}
	scheme, isURL := Scheme(o.Database)
	open, name := openSQLite, o.Database
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		open, name = openPostgres, scheme+"://…" // the rest may hold a password
	case isURL:
		return nil, fmt.Errorf("database %s://…: give the path of a SQLite file, such as buildbridge.db, or a postgres:// URL", scheme)
	}
	s := &Store{
		log:     o.Logger,
		caller:  uuid.NewString(),
		writes:  make(chan *write, 256),
		ending:  make(chan struct{}),
		stopped: make(chan struct{}),

		notified: make(chan string, 1024),
	}
	var err error
	s.ignored.rows = make(chan ignoredRow, ignoredBuffer)
	if s.db, err = open(ctx, o.Database, o.Logger); err != nil {
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.singles = make(chan struct{}, s.db.writers())
	s.close = sync.OnceValue(s.shut)
	s.done.Go(s.writeLoop)
	s.ignoredLoops.Go(s.ignoredLoop)
	s.done.Go(s.blockLoop)
	s.done.Go(func() { s.db.listen(s.life, s.notified) })
	return s, nil
}

// Scheme is that of the URL by which a database is named; one that is no URL is a
// SQLite file.
func Scheme(database string) (scheme string, isURL bool) {
	scheme, _, isURL = strings.Cut(database, "://")
	return scheme, isURL
}

// Caller names this process: builds it has on the wire carry it.
func (s *Store) Caller() string { return s.caller }

// Ping reports whether the database can be read, and written as far as the last
// attempt tells.
func (s *Store) Ping(ctx context.Context) error {
	if began := s.writing.Load(); began != nil && time.Since(*began) > stalledAfter {
		return fmt.Errorf("the database has taken no write for %.0f s: it is locked, or its disk stands still", time.Since(*began).Seconds())
	}
	if failed := s.lastWrite.Load(); failed != nil {
		return s.db.reason(failed.err)
	}
	return s.db.ping(ctx)
}

// failure is why a transaction failed, and when.
type failure struct {
	err error
	at  time.Time
}

// failureLasts is how long one counts, unless something was written since: a look at the
// queue that finds nothing says nothing of the disk.
const failureLasts = 5 * time.Second

// stalledAfter is how long a transaction may take before somebody else should take
// the deliveries.
const stalledAfter = 2 * time.Second

// Close writes what was put aside and closes the database. Stop what works
// builds first. Closing twice does nothing more.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	close(s.ending)
	s.ignoredLoops.Wait()
	s.end()
	s.done.Wait()
	return s.db.close()
}

// errClosed is what a write gets that comes after Close.
var errClosed = errors.New("store: closed")

// write is one change that waits for its turn: do runs inside a transaction
// that it may share with others, and again in one of its own if that fails.
type write struct {
	ctx    context.Context //nolint:containedctx // of who waits for it
	locks  []int64
	accept *acceptance // written together with those of its kind in the batch, as are these:
	save   *saving
	call   *calling
	hold   bool                                    // the call is held back, if anything holds it, and not begun
	do     func(ctx context.Context, tx *tx) error // or this
	idle   bool                                    // it found nothing to write
	err    error                                   // of this one alone
	done   chan error
}

// writeAll writes what is of one kind, with one statement for many where that can be.
type writeAll func(ctx context.Context, tx *tx, all []*write) error

// lockKey is the key of a lock that replicas share: FNV-1a, 64 bits.
func lockKey(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64()) //nolint:gosec // all 64 bits, sign included
}

// Text drops what Postgres does not take for text: NUL, and what is no UTF-8.
func Text(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// zip compresses a body into memory of the store, in the format of Snappy: not as small
// as could be, but the processor has a delivery to answer. It keeps nothing of body. Who
// is done with the result gives it back for reuse.
func (s *Store) zip(body []byte) []byte {
	scratch, ok := s.scratch.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	return snappy.Encode((*scratch)[:cap(*scratch)], body)
}

// scratchMost is how much memory for compressing is kept, a delivery each.
const scratchMost = 64 << 10

func (s *Store) reuse(zipped []byte) {
	if cap(zipped) <= scratchMost {
		s.scratch.Put(&zipped)
	}
}

// maxBatch bounds how many writes share a transaction, and so how long the
// first of them waits for the others.
const maxBatch = 256

// write runs do in a transaction and returns after its commit. Writes that wait
// at the same time share one transaction, and so one sync of the disk. do may
// run twice: it must set its results anew each time. An error of it rolls the
// transaction back, but for ErrStale, ErrClaimed and ErrReplayed: before these it must
// have changed nothing, and the others go on. locks are held for it where there is more
// than one writer.
func (s *Store) write(ctx context.Context, locks []int64, do func(ctx context.Context, tx *tx) error) error {
	return s.enqueue(ctx, &write{locks: locks, do: do})
}

// enqueue returns after the commit.
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
		return ctx.Err() // it may still be committed
	case <-s.stopped:
		return errClosed
	}
}

func (s *Store) writeLoop() {
	defer close(s.stopped)
	for {
		select {
		case w := <-s.writes:
			s.commit(s.waiting(w))
		case <-s.life.Done():
			for { // what was handed over before Close is still written
				select {
				case w := <-s.writes:
					s.commit(s.waiting(w))
				default:
					return
				}
			}
		}
	}
}

// waiting takes all that wait together with first.
func (s *Store) waiting(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction. If that fails, each of them gets one
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
		if w.accept != nil {
			w.accept.again = true
		}
	}
	s.log.Warn("shared transaction failed, its members are retried singly", "members", len(batch), "error", err)
	alone := func(w *write) { w.done <- cmp.Or(s.transaction([]*write{w}), w.err) }
	if s.db.writers() == 1 {
		for _, w := range batch {
			alone(w)
		}
		return
	}
	// One that waits for somebody's lock must not hold up all others.
	s.done.Go(func() {
		for _, w := range batch {
			s.singles <- struct{}{}
			s.done.Go(func() {
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

// transactionTimeout ends a transaction that hangs: it waits for a lock, a server or
// between two statements. A statement of SQLite that waits for the disk is not cut.
const transactionTimeout = 10 * time.Second

func (s *Store) transaction(batch []*write) (err error) {
	began := time.Now()
	s.writing.Store(&began)
	defer func() {
		s.writing.CompareAndSwap(&began, nil) // where several run, the last that began counts
		// Of a batch somebody may be to blame; alone it is the database, or what is
		// written.
		switch {
		case err == nil:
			failed, idle := s.lastWrite.Load(), !slices.ContainsFunc(batch, func(w *write) bool { return !w.idle })
			if failed != nil && (!idle || time.Since(failed.at) > failureLasts) {
				s.lastWrite.CompareAndSwap(failed, nil)
			}
		case len(batch) == 1 && !s.db.refused(err):
			s.lastWrite.Store(&failure{err, time.Now()})
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
	// All locks at once and in order: no two transactions wait for each other.
	var locks []int64
	for _, w := range batch {
		locks = append(locks, w.locks...)
	}
	slices.Sort(locks)
	tx.tell = s.notified
	if err := s.db.lock(ctx, tx, slices.Compact(locks)); err != nil {
		return joinRollback(tx, fmt.Errorf("lock: %w", err))
	}
	var accepted, saved, heldBack, called []*write
	for _, w := range batch {
		w.err = nil
		switch {
		case w.accept != nil:
			accepted = append(accepted, w)
		case w.save != nil:
			saved = append(saved, w)
		case w.hold:
			heldBack = append(heldBack, w)
		case w.call != nil:
			called = append(called, w)
		}
	}
	for _, kind := range []struct {
		write writeAll
		all   []*write
	}{{s.acceptAll, accepted}, {s.saveAll, saved}, {s.holdAll, heldBack}, {s.beginCalls, called}} {
		if len(kind.all) == 0 {
			continue
		}
		if err := kind.write(ctx, tx, kind.all); err != nil {
			return joinRollback(tx, err)
		}
	}
	for _, w := range batch {
		if w.do == nil {
			continue
		}
		switch err := w.do(ctx, tx); {
		case errors.Is(err, ErrStale), errors.Is(err, ErrClaimed), errors.Is(err, ErrReplayed):
			w.err = err
		case err != nil:
			return joinRollback(tx, err)
		}
	}
	return tx.commit(ctx)
}
