package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// acceptance is a delivery with its builds on their way into the database.
// Those that share a transaction are looked up and inserted together.
type acceptance struct {
	delivery *Delivery
	header   string // JSON
	zipped   []byte // the body
	builds   []*Build
	again    bool   // it was tried before, and may have been committed
	found    string // the delivery that committed the same before, its own after an answer that was lost; "" for none
}

// Accept commits a delivery and its builds, which are due at once, in one transaction,
// and returns after it is on disk. If a delivery with the same source and
// duplicate key committed builds before (within the window, if there is one),
// nothing is written and its id is returned.
//
// A build that comes with the state Dead is kept as that; any other waits. One
// that is Newest supersedes those of its line that still wait.
//
// An error means that nothing may be acknowledged. It may have been committed
// all the same if ctx ended first: the host sends it again and finds a
// duplicate.
func (s *Store) Accept(ctx context.Context, d *Delivery, builds []*Build) (duplicateOf string, err error) {
	d.Outcome = Accepted
	a := &acceptance{delivery: d, zipped: s.zip(d.Body), builds: builds}
	if a.header, err = headerText(d); err != nil {
		return "", err
	}
	locks := []int64{lockKey("delivery", d.Source, d.DuplicateKey)}
	for _, b := range builds {
		locks = append(locks, callLock(b)...)
	}
	if err := s.enqueue(ctx, &write{locks: locks, accept: a}); err != nil {
		return "", err // it may be written yet
	}
	s.reuse(a.zipped)
	switch a.found {
	case "", d.ID: // its own id: committed, though the connection broke before it said so
		return "", nil
	}
	d.Outcome, d.Reason = Duplicate, a.found
	s.LogIgnored(d)
	return a.found, nil
}

// acceptAll writes what is no duplicate, in order.
func (s *Store) acceptAll(ctx context.Context, tx *tx, writes []*write) error {
	all := make([]*acceptance, len(writes))
	for i, w := range writes {
		all[i] = w.accept
	}
	if err := s.findDuplicates(ctx, tx, all); err != nil {
		return err
	}
	deliveries, builds := newDeliveries(), newBuilds()
	deliveries.grow(len(all))
	builds.grow(len(all))
	for _, a := range all {
		if a.found != "" {
			continue
		}
		deliveries.addDelivery(a.delivery, a.header, a.zipped)
		for _, b := range a.builds {
			if err := insertBuild(ctx, tx, b, builds); err != nil {
				return err
			}
		}
	}
	if err := deliveries.insert(ctx, tx); err != nil {
		return err
	}
	return builds.insert(ctx, tx)
}

// duplicateKey is what two deliveries share that say the same thing.
type duplicateKey struct{ source, key string }

// findDuplicates notes which deliveries were committed before, or come twice in
// what is committed now.
func (s *Store) findDuplicates(ctx context.Context, tx *tx, all []*acceptance) error {
	var asked []*acceptance
	for _, a := range all {
		a.found = ""
		switch {
		case a.delivery.DuplicateKey != "":
			asked = append(asked, a)
		case a.again:
			err := tx.queryRow(ctx, `SELECT id FROM deliveries WHERE id = ?`, a.delivery.ID).Scan(&a.found)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("look for delivery %s: %w", a.delivery.ID, err)
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	if err := committedBefore(ctx, tx, asked); err != nil {
		return fmt.Errorf("look for duplicates: %w", err)
	}
	first := map[duplicateKey]string{}
	for _, a := range asked {
		key := duplicateKey{a.delivery.Source, a.delivery.DuplicateKey}
		switch id := first[key]; {
		case a.found != "":
		case id != "":
			a.found = id
		default:
			first[key] = a.delivery.ID
		}
	}
	return nil
}

// committedBefore notes in each of them the delivery that committed the same before, if
// there is one.
func committedBefore(ctx context.Context, tx *tx, asked []*acceptance) error {
	c := &rows{columns: []string{"n", "source", "key", "since"}}
	for i, a := range asked {
		c.add(int64(i), a.delivery.Source, a.delivery.DuplicateKey, a.since())
	}
	found, err := pairs[string](ctx, tx, c, `SELECT c.n, coalesce((SELECT id FROM deliveries
		WHERE source = c.source AND duplicate_key = c.key AND outcome = 'accepted' AND received_at >= c.since LIMIT 1), '') FROM c`)
	for n, id := range found {
		asked[n].found = id
	}
	return err
}

// since is the earliest time, in microseconds, at which a delivery that says the
// same makes this one a duplicate.
func (a *acceptance) since() int64 {
	if a.delivery.DuplicateWindow <= 0 {
		return 0
	}
	return micros(a.delivery.ReceivedAt.Add(-a.delivery.DuplicateWindow))
}

// Columns that are not named have their default.
func newDeliveries() *rows {
	return &rows{table: "deliveries", columns: []string{
		"id", "source", "provider", "host_id", "event", "repository", "ref", "commit_id",
		"received_at", "outcome", "reason", "duplicate_key", "verdicts", "header", "replay_of", "body",
	}}
}

func newBuilds() *rows {
	return &rows{table: "builds", columns: []string{
		"id", "delivery", "rule", "target", "job_id", "repository", "ref", "tag", "commit_id", "marker",
		"body", "newest", "replay_of", "by_hand", "state", "due_at", "reason", "received_at", "deadline", "trace",
	}}
}

func (r *rows) addDelivery(d *Delivery, header string, zipped []byte) {
	r.add(d.ID, d.Source, d.Provider, d.HostID, d.Event, d.Repository, d.Ref, d.Commit,
		micros(d.ReceivedAt), string(d.Outcome), d.Reason, d.DuplicateKey, string(d.Verdicts), header, d.ReplayOf, zipped)
}

func headerText(d *Delivery) (string, error) {
	header, err := json.Marshal(d.Header)
	if err != nil {
		return "", fmt.Errorf("delivery %s: its header: %w", d.ID, err)
	}
	return string(header), nil
}

// insertBuild adds a build to the rows to insert: it is due at once.
func insertBuild(ctx context.Context, tx *tx, b *Build, into *rows) error {
	if b.State == "" {
		b.State = Waiting
	}
	b.Superseded = 0
	if b.Newest && b.State == Waiting && !b.ByHand {
		if err := into.insert(ctx, tx); err != nil { // it may supersede those too
			return err
		}
		n, err := tx.exec(ctx, `UPDATE builds SET state = 'superseded', superseded_by = ?, due_at = 0, worker = '', held = 0, version = version + 1
			WHERE target = ? AND job_id = ? AND ref = ? AND rule = ? AND repository = ? AND unresolved AND state = 'waiting' AND tag = '' AND NOT by_hand AND delivery <> ?`,
			b.ID, b.Target, b.JobID, b.Ref, b.Rule, b.Repository, b.Delivery)
		if err != nil {
			return fmt.Errorf("supersede for build %s: %w", b.ID, err)
		}
		b.Superseded = n
	}
	var due int64
	if !b.State.Final() {
		due = micros(time.Now().Truncate(time.Millisecond)) // SQLite's clock has no more
		tx.notify(b.Target)
	}
	into.add(b.ID, b.Delivery, b.Rule, b.Target, b.JobID, b.Repository, b.Ref, b.Tag, b.Commit, b.Marker,
		b.Body, b.Newest, b.ReplayOf, b.ByHand, string(b.State), due, b.Reason, micros(b.ReceivedAt), micros(b.Deadline), b.Trace)
	return nil
}
