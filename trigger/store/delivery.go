package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Outcome is what became of a delivery that was kept.
type Outcome string

// The outcomes of kept deliveries. Rejected ones are not kept.
const (
	Accepted  Outcome = "accepted"
	Ignored   Outcome = "ignored"
	Duplicate Outcome = "duplicate"
)

// Delivery is one row of the deliveries table.
type Delivery struct {
	ID         string
	Source     string
	Provider   string
	HostID     string
	Event      string
	Repository string
	Ref        string
	ReceivedAt time.Time
	Outcome    Outcome
	Reason     string // of an ignored one; of a duplicate, the delivery it repeats
	Verdicts   []byte // JSON: what the rules said of an ignored one

	DuplicateKey    string
	DuplicateWindow time.Duration // not stored; 0 is without end

	Header   map[string]string
	Body     []byte // without secrets
	ReplayOf string
}

const insertDelivery = `INSERT INTO deliveries (id, source, provider, host_id, event, repository, ref, received_at,
	outcome, reason, duplicate_key, verdicts, header, body, replay_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (s *Store) insertDelivery(ctx context.Context, tx *tx, d *Delivery, zipped []byte) error {
	header, err := json.Marshal(d.Header)
	if err != nil {
		return fmt.Errorf("delivery %s: its header: %w", d.ID, err)
	}
	if _, err := tx.exec(ctx, insertDelivery, d.ID, d.Source, d.Provider, d.HostID, d.Event, d.Repository, d.Ref,
		micros(d.ReceivedAt), d.Outcome, d.Reason, d.DuplicateKey, string(d.Verdicts), string(header), zipped, d.ReplayOf); err != nil {
		return fmt.Errorf("insert delivery %s: %w", d.ID, err)
	}
	return nil
}

// Accept commits a delivery, its builds and their wake-ups in one transaction,
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
	zipped := s.zip.EncodeAll(d.Body, nil)
	d.Outcome = Accepted
	var found string
	locks := []int64{lockKey("delivery", d.Source, d.DuplicateKey)}
	for _, b := range builds {
		locks = append(locks, callLock(b)...)
	}
	err = s.write(ctx, locks, func(ctx context.Context, tx *tx) error {
		var err error
		if found, err = committedBefore(ctx, tx, d); err != nil || found != "" {
			return err
		}
		if err := s.insertDelivery(ctx, tx, d, zipped); err != nil {
			return err
		}
		for _, b := range builds {
			if err := insertBuild(ctx, tx, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	switch found {
	case "":
	case d.ID: // committed, though the connection broke before it said so
		return "", nil
	default:
		d.Outcome, d.Reason = Duplicate, found
		s.PutAside(d)
	}
	return found, nil
}

// AddBuild commits one more build of a delivery that is there already.
func (s *Store) AddBuild(ctx context.Context, b *Build) error {
	return s.write(ctx, callLock(b), func(ctx context.Context, tx *tx) error { return insertBuild(ctx, tx, b) })
}

func committedBefore(ctx context.Context, tx *tx, d *Delivery) (id string, err error) {
	if d.ReplayOf != "" || d.DuplicateKey == "" {
		return "", nil
	}
	var since int64
	if d.DuplicateWindow > 0 {
		since = micros(d.ReceivedAt.Add(-d.DuplicateWindow))
	}
	err = tx.queryRow(ctx, `SELECT id FROM deliveries WHERE source = ? AND duplicate_key = ?
		AND outcome = 'accepted' AND replay_of = '' AND received_at >= ? ORDER BY received_at DESC LIMIT 1`,
		d.Source, d.DuplicateKey, since).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a duplicate of delivery %s: %w", d.ID, err)
	}
	return id, nil
}

// What builds share: a ref or a commit of one job, among which one call at a time
// is unresolved; and the line, which keeps its order.
const (
	sameRef    = `target = ? AND job_id = ? AND ref = ?`
	sameCommit = `target = ? AND job_id = ? AND commit_id = ? AND commit_id <> ''`
	sameLine   = sameRef + ` AND rule = ? AND repository = ?`
)

func insertBuild(ctx context.Context, tx *tx, b *Build) error {
	if b.State == "" {
		b.State = Waiting
	}
	b.Superseded = 0
	if b.Newest && b.State == Waiting && b.ReplayOf == "" {
		n, err := tx.exec(ctx, `UPDATE builds SET state = 'superseded', superseded_by = ?, parked_until = 0, held_call = ?, version = version + 1
			WHERE `+sameLine+` AND state = 'waiting' AND tag = '' AND replay_of = ''`,
			b.ID, false, b.Target, b.JobID, b.Ref, b.Rule, b.Repository)
		if err != nil {
			return fmt.Errorf("supersede for build %s: %w", b.ID, err)
		}
		b.Superseded = n
	}
	_, err := tx.exec(ctx, `INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker,
		body, newest, replay_of, state, reason, received_at, deadline) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.Delivery, b.Rule, b.Target, b.JobID, b.Repository, b.Ref, b.Tag, b.Commit, b.Marker,
		b.Body, b.Newest, b.ReplayOf, b.State, b.Reason, micros(b.ReceivedAt), micros(b.Deadline))
	if err != nil {
		return fmt.Errorf("insert build %s: %w", b.ID, err)
	}
	if !b.State.Final() {
		tx.wake(b.Target, b.ID)
	}
	return nil
}

// Delivery reads one delivery with its body. It returns ErrNotFound if there is
// none.
func (s *Store) Delivery(ctx context.Context, id string) (*Delivery, error) {
	var (
		d                *Delivery
		header, verdicts string
		zipped           []byte
		received         int64
	)
	d = &Delivery{}
	err := s.db.reader().queryRow(ctx, `SELECT id, source, provider, host_id, event, repository, ref, received_at,
		outcome, reason, duplicate_key, verdicts, header, body, replay_of FROM deliveries WHERE id = ?`, id).
		Scan(&d.ID, &d.Source, &d.Provider, &d.HostID, &d.Event, &d.Repository, &d.Ref, &received,
			&d.Outcome, &d.Reason, &d.DuplicateKey, &verdicts, &header, &zipped, &d.ReplayOf)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("delivery %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", id, err)
	}
	d.ReceivedAt, d.Verdicts = fromMicros(received), []byte(verdicts)
	if err := json.Unmarshal([]byte(header), &d.Header); err != nil {
		return nil, fmt.Errorf("delivery %s: its header: %w", id, err)
	}
	if len(zipped) == 0 { // forgotten by retention
		return d, nil
	}
	if d.Body, err = s.unzip.DecodeAll(zipped, nil); err != nil {
		return nil, fmt.Errorf("delivery %s: its body: %w", id, err)
	}
	return d, nil
}
