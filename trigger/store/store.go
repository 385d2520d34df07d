package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Options of a store.
type Options struct {
	// Database is the path of a SQLite file on a local disk, which is created if it does
	// not exist; or the URL of a PostgreSQL database, postgres://…, which several
	// processes may share.
	Database string
	Logger   *slog.Logger // required

	// KeepIgnored is how many deliveries the ignored log has, the newest: DefaultIgnored if it
	// is 0, none if it is negative.
	KeepIgnored int
}

// Store is safe for concurrent use.
type Store struct {
	db     database
	shared sharedDatabase // the same database; nil if no other process can use it
	log    *slog.Logger

	keepIgnored int // as in Options

	caller string // the name of this process

	writes  chan *write
	life    context.Context //nolint:containedctx // of the store, not of a request: after its end no write is taken
	end     context.CancelFunc
	stopped chan struct{} // closed after the last write
	singles chan struct{} // slots for the writes of a failed batch that are tried again one by one
	loops   sync.WaitGroup

	lastFailure atomic.Pointer[failure]   // of the last transaction; nil if it did not fail
	writing     atomic.Pointer[time.Time] // when the transaction that runs began; nil for none

	notified chan string // targets that got work

	ignored ignoredLog
	pruning sync.Mutex // rows are not pruned while blocks are written
	keepers [2]blockKeeper

	copying sync.RWMutex // read-locked by backups; the database is not closed before they end

	closing  sync.Once
	closeErr error
}

// Open opens the database and creates its tables if it has none. A SQLite file belongs to
// one process: a second process that opens it gets an error.
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
		log: o.Logger,

		keepIgnored: cmp.Or(o.KeepIgnored, DefaultIgnored),

		caller:   uuid.NewString(),
		writes:   make(chan *write, 256),
		stopped:  make(chan struct{}),
		notified: make(chan string, 1024),
		ignored:  ignoredLog{rows: make(chan encodedDelivery, ignoredBuffer), ending: make(chan struct{})},
	}
	var err error
	if s.db, err = open(ctx, o.Database, o.Logger); err != nil {
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if s.shared, _ = s.db.(sharedDatabase); s.shared != nil {
		s.singles = make(chan struct{}, minConns/2) // the other connections are for reading
		s.loops.Go(func() { s.shared.listen(s.life, s.notified) })
	}
	s.loops.Go(s.writeLoop)
	s.loops.Go(s.blockLoop)
	s.ignored.loop.Go(s.ignoredLoop)
	return s, nil
}

// Scheme is the scheme of the URL that names a database. What is no URL is the path of a
// SQLite file.
func Scheme(database string) (scheme string, isURL bool) {
	scheme, _, isURL = strings.Cut(database, "://")
	return scheme, isURL
}

// Close writes what waits for the ignored log, and closes the database. Stop what works
// builds first. A second call does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.ignored.ending)
		s.ignored.loop.Wait()
		s.end()
		s.loops.Wait()
		s.copying.Lock()
		defer s.copying.Unlock()
		s.closeErr = s.db.close()
	})
	return s.closeErr
}

// Caller is the name of this process: it stands in the builds that this process called.
func (s *Store) Caller() string { return s.caller }

// Ping returns an error if the database cannot be read, or could not be written the last
// time.
func (s *Store) Ping(ctx context.Context) error {
	if began := s.writing.Load(); began != nil && time.Since(*began) > stalledAfter {
		return fmt.Errorf("the database has taken no write for %.0f s: it is locked, or its disk stands still", time.Since(*began).Seconds())
	}
	var err error
	if failed := s.lastFailure.Load(); failed != nil {
		err = failed.err
	} else {
		err = s.db.ping(ctx)
	}
	if err != nil && s.shared != nil { // it names the user and the address of the database, and everybody may ask
		return errors.New("the database cannot be reached, or takes no writes; the log says why")
	}
	return err
}

// stalledAfter is how long a transaction may take. After that, deliveries should go to
// another replica.
const stalledAfter = 2 * time.Second

// failure is why a transaction failed, and when.
type failure struct {
	err error
	at  time.Time
}

// failureLasts is how long a failure counts at least, unless something was written since.
// A look at the queue that finds nothing does not say that the disk is well.
const failureLasts = 5 * time.Second

// lockKey is the key of a lock that replicas share: FNV-1a, 64 bits.
func lockKey(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64()) //nolint:gosec // all 64 bits, sign included
}

// clean drops from texts what PostgreSQL does not store as text: NUL, and bytes that are
// not UTF-8.
func clean(texts ...*string) {
	for _, t := range texts {
		*t = strings.ToValidUTF8(strings.ReplaceAll(*t, "\x00", ""), "\uFFFD")
	}
}
