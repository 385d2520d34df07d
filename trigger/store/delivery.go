package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang/snappy"

	"buildbridge/mapping"
)

// Outcome is what became of a delivery that is stored.
type Outcome string

// The outcomes of stored deliveries. Rejected deliveries are not stored.
const (
	Accepted  Outcome = "accepted"
	Ignored   Outcome = "ignored"
	Duplicate Outcome = "duplicate"
)

// Delivery is one row of the deliveries table.
type Delivery struct {
	mapping.Delivery // without its events; DuplicateWindow is not stored

	Repository string // of the first event
	Ref        string // of the first event
	Commit     string // of the first event, "" if it has none
	Pusher     string // of the first event
	Title      string // the first line of its commit message
	Outcome    Outcome
	Reason     string // why it was ignored; of a duplicate, the id of the delivery that it repeats
	Verdicts   []byte // JSON: what each rule said of an ignored delivery

	// Refs are all refs that it tells of, where a push that was missed is looked for: their
	// digests are stored if there are several. They are not read back.
	Refs []RefChange
	// CatchUp compares the builds with those that catch-up made already, see [Store.Accept].
	// Not stored.
	CatchUp bool
	// Missed is the push that the delivery was made of by catch-up, nil for none. Not stored.
	Missed *MissedRef

	Unreadable string // what is wrong with the row, "" for nothing. Not stored
	LastReplay string // the newest delivery that repeats this one, "" for none. Not stored, and not in lists
}

// Delivery reads one delivery with its body. It returns ErrNotFound if there is
// none.
func (s *Store) Delivery(ctx context.Context, id string) (*Delivery, error) {
	var (
		d                Delivery
		header, verdicts string
		zipped           []byte
		received         int64
	)
	err := queryRow(ctx, s.db.reader(), `SELECT id, source, provider, host_id, event, repository, ref, commit_id, received_at,
		outcome, reason, duplicate_key, verdicts, header, body, replay_of, origin, actor, why, pusher, title,
		coalesce((SELECT r.id FROM deliveries r
			WHERE r.replay_of = d.id AND r.replay_of <> '' ORDER BY r.id DESC LIMIT 1), '') FROM deliveries d WHERE id = ?`, id).
		Scan(&d.ID, &d.Source, &d.Provider, &d.HostID, &d.Event, &d.Repository, &d.Ref, &d.Commit, &received,
			&d.Outcome, &d.Reason, &d.DuplicateKey, &verdicts, &header, &zipped, &d.ReplayOf,
			&d.Origin, &d.By.Actor, &d.By.Why, &d.Pusher, &d.Title, &d.LastReplay)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", id, err)
	}
	var bad unreadable
	d.ReceivedAt, d.Verdicts = bad.time("received_at", received), []byte(verdicts)
	if err := json.Unmarshal([]byte(header), &d.Header); err != nil {
		bad = append(bad, "header cannot be read: "+err.Error())
	}
	if len(zipped) > 0 { // else it was pruned
		if d.Body, err = snappy.Decode(nil, zipped); err != nil {
			bad = append(bad, "body cannot be read: "+err.Error())
		}
	}
	d.Unreadable = bad.String()
	return &d, nil
}
