package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang/snappy"

	"buildbridge/mapping"
)

// acceptance is a delivery with its builds on their way into the database.
type acceptance struct {
	encodedDelivery

	builds []*Build
	again  bool   // it was tried before, and may have been committed
	found  string // the delivery that committed the same before; "" for none. After a lost answer it may be this one
}

// Accept commits a delivery and its builds in one transaction, and returns after they are
// on disk. The builds are due at once. If a delivery with the same source and duplicate
// key committed builds before (within the window, if there is one), nothing is written,
// and the id of that delivery is returned.
//
// A build that comes with the state Dead stays dead; any other waits. A build that is
// Newest supersedes the builds of its ordering key that still wait.
//
// A build that is Once is superseded by one of another delivery, of the same rule, target, job,
// repository and commit, which was Once too, and waits, was started in the last 24 hours, or
// succeeded.
//
// With CatchUp, a build of a push that catch-up has built already, for the same rule, target
// and job, is superseded by that build, unless that one is dead. With Missed, nothing is
// written, and the error is ErrStale, if the push is not missed any more: because its
// delivery came, or because another process has built it.
//
// After an error nothing may be acknowledged. If ctx ended first, the builds may have been
// committed all the same: the host sends the delivery again, which is then a duplicate.
func (s *Store) Accept(ctx context.Context, d *Delivery, builds []*Build) (duplicateOf string, err error) {
	d.Outcome = Accepted
	a := &acceptance{builds: builds}
	if a.encodedDelivery, err = encode(d); err != nil {
		return "", err
	}
	locks := []int64{lockKey("delivery", d.Source, d.DuplicateKey)}
	for _, b := range builds {
		clean(&b.Repository, &b.Ref, &b.Tag, &b.Commit, &b.TagCommit, &b.Context, &b.Reason, &b.By.Actor, &b.By.Why, &b.Pusher, &b.Title)
		locks = append(locks, callLock(b)...)
	}
	locks = append(locks, missedLocks(d)...)
	if err := s.enqueue(ctx, &write{kind: writeAcceptance, locks: locks, acceptance: a}); err != nil {
		return "", err
	}
	if a.found == "" || a.found == d.ID {
		return "", nil
	}
	d.Outcome, d.Reason = Duplicate, a.found
	s.LogIgnored(d)
	return a.found, nil
}

// acceptAll writes the deliveries that are no duplicates, in order.
func (s *Store) acceptAll(ctx context.Context, tx *tx, writes []*write) error {
	all := make([]*acceptance, len(writes))
	for i, w := range writes {
		all[i] = w.acceptance
	}
	var needless []*Build // superseded by builds that were there before
	if err := findDuplicates(ctx, tx, all); err != nil {
		return err
	}
	deliveries, builds := newDeliveries(), newBuilds()
	deliveries.grow(len(all))
	builds.grow(len(all))
	for i, a := range all {
		if a.found != "" {
			continue
		}
		for _, b := range a.builds {
			if b.SupersededBy != "" { // by a transaction that was rolled back
				b.State, b.Reason, b.SupersededBy = Waiting, "", ""
			}
		}
		if a.Missed != nil {
			if err := claimMissed(ctx, tx, a); errors.Is(err, ErrStale) {
				writes[i].err = err
				continue
			} else if err != nil {
				return err
			}
		}
		if a.CatchUp {
			if err := builds.insert(ctx, tx); err != nil { // catch-up may have made some of these
				return err
			}
			superseded, err := findCaught(ctx, tx, a)
			if err != nil {
				return err
			}
			needless = append(needless, superseded...)
		}
		if slices.ContainsFunc(a.builds, func(b *Build) bool { return b.isOnce() && !b.ByHand }) {
			if err := builds.insert(ctx, tx); err != nil { // some of these may be of the same commit
				return err
			}
			superseded, err := findOnce(ctx, tx, a)
			if err != nil {
				return err
			}
			needless = append(needless, superseded...)
		}
		deliveries.addDelivery(a.encodedDelivery)
		for _, b := range a.builds {
			if err := insertBuild(ctx, tx, b, builds); err != nil {
				return err
			}
		}
	}
	if err := deliveries.insert(ctx, tx); err != nil {
		return err
	}
	if err := builds.insert(ctx, tx); err != nil {
		return err
	}
	for _, b := range needless {
		if _, err := tx.exec(ctx, `UPDATE builds SET superseded_by = ? WHERE id = ?`, b.SupersededBy, b.ID); err != nil {
			return fmt.Errorf("supersede build %s: %w", b.ID, err)
		}
	}
	return nil
}

// findDuplicates notes which deliveries were committed before, or come twice in this
// transaction.
func findDuplicates(ctx context.Context, tx *tx, all []*acceptance) error {
	keyed := &rows{columns: []string{"n", "source", "key", "since"}}
	keyed.grow(len(all))
	for i, a := range all {
		a.found = ""
		switch {
		case a.DuplicateKey != "":
			var since int64 // an earlier delivery is out of the window
			if a.DuplicateWindow > 0 {
				since = micros(a.ReceivedAt.Add(-a.DuplicateWindow))
			}
			keyed.add(int64(i), a.Source, a.DuplicateKey, since)
		case a.again:
			err := queryRow(ctx, tx, `SELECT id FROM deliveries WHERE id = ?`, a.ID).Scan(&a.found)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("look for delivery %s: %w", a.ID, err)
			}
		}
	}
	before, err := pairs[string](ctx, tx, keyed, `SELECT n, id FROM (SELECT c.n, (SELECT id FROM deliveries
		WHERE source = c.source AND duplicate_key = c.key AND outcome = 'accepted' AND received_at >= c.since LIMIT 1) AS id FROM c) AS found
		WHERE id IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("look for duplicates: %w", err)
	}
	first := make(map[[2]string]string, len(all)) // ids by source and key
	for i, a := range all {
		if a.DuplicateKey == "" {
			continue
		}
		key := [2]string{a.Source, a.DuplicateKey}
		if a.found = cmp.Or(before[int64(i)], first[key]); a.found == "" {
			first[key] = a.ID
		}
	}
	return nil
}

// newDeliveries are rows to insert. Columns that are not named get their default.
func newDeliveries() *rows {
	return &rows{table: "deliveries", columns: []string{
		"id", "source", "provider", "host_id", "event", "repository", "ref", "commit_id",
		"received_at", "outcome", "reason", "duplicate_key", "verdicts", "header", "replay_of", "body",
		"title", "pusher", "more", "origin", "actor", "why",
	}, defaults: []any{"", "", "", string(mapping.OriginWebhook), "", ""}}
}

func newBuilds() *rows {
	return &rows{table: "builds", columns: []string{
		"id", "delivery", "rule", "target", "job_id", "repository", "ref", "tag", "commit_id", "marker",
		"body", "newest", "replay_of", "state", "due_at", "reason", "received_at", "deadline",
		"title", "pusher", "trace", "context", "max_running", "replace_running", "once", "tag_commit", "by_hand", "origin", "actor", "why",
		"action", "project_id",
	}, defaults: []any{
		"", "", "", "", int64(0), false, int64(0), "", false, string(mapping.OriginWebhook), "", "", string(mapping.ActionJob), "",
	}}
}

func (r *rows) addDelivery(d encodedDelivery) {
	r.add(d.ID, d.Source, d.Provider, d.HostID, d.Event, d.Repository, d.Ref, d.Commit,
		micros(d.ReceivedAt), string(d.Outcome), d.Reason, d.DuplicateKey, string(d.Verdicts), d.header, d.ReplayOf, d.zipped,
		d.Title, d.Pusher, moreRefs(d.Refs), string(d.Origin), d.By.Actor, d.By.Why)
}

// encodedDelivery is a delivery with its header as JSON and its body compressed with Snappy:
// other formats are smaller, but take longer while a code host waits.
type encodedDelivery struct {
	*Delivery

	header string
	zipped []byte
}

// encode keeps nothing of the body, whose memory is used again. It cleans the texts that come
// from outside.
func encode(d *Delivery) (encodedDelivery, error) {
	clean(&d.HostID, &d.Event, &d.DuplicateKey, &d.Repository, &d.Ref, &d.Commit, &d.By.Actor, &d.By.Why, &d.Pusher, &d.Title)
	d.Origin = cmp.Or(d.Origin, mapping.OriginWebhook)
	header, err := json.Marshal(d.Header)
	if err != nil {
		return encodedDelivery{}, fmt.Errorf("delivery %s: its header: %w", d.ID, err)
	}
	return encodedDelivery{d, string(header), snappy.Encode(nil, d.Body)}, nil
}

// insertBuild adds a build to rows, and supersedes the builds that it replaces.
func insertBuild(ctx context.Context, tx *tx, b *Build, into *rows) error {
	if b.State == "" {
		b.State = Waiting
	}
	b.Origin, b.Action = cmp.Or(b.Origin, mapping.OriginWebhook), cmp.Or(b.Action, mapping.ActionJob)
	b.Superseded = 0
	if b.Newest && !b.ByHand && (b.State == Waiting || b.SupersededOnce()) {
		if err := into.insert(ctx, tx); err != nil { // it may replace some of these too
			return err
		}
		statuses, err := column[string](ctx, tx, `UPDATE builds
			SET state = 'superseded', superseded_by = ?, due_at = 0, worker = '', held = 0, paused_at = 0, version = version + 1
			WHERE target = ? AND job_id = ? AND ref = ? AND rule = ? AND repository = ? AND unresolved
			AND state = 'waiting' AND tag = '' AND NOT by_hand AND delivery <> ? AND once < ? AND id <> ?
			RETURNING CASE WHEN context <> '' THEN id ELSE '' END`,
			cmp.Or(b.SupersededBy, b.ID), b.Target, b.JobID, b.Ref, b.Rule, b.Repository, b.Delivery, int64(onceShared), b.SupersededBy)
		if err != nil {
			return fmt.Errorf("supersede for build %s: %w", b.ID, err)
		}
		b.Superseded = int64(len(statuses))
		for _, id := range statuses {
			if id != "" {
				tx.reports = append(tx.reports, report{build: id, news: itEnded})
			}
		}
	}
	if b.State == Dead {
		if err := reportBuilds(ctx, tx, []*Build{b}); err != nil {
			return err
		}
	}
	var due int64
	if !b.State.Final() {
		// SQLite's clock counts no less. A later due_at would be called back (Recall).
		due = micros(time.Now().Truncate(time.Millisecond).Add(min(b.Settle, longestWait)))
		tx.notify(b.Target)
	}
	into.add(b.ID, b.Delivery, b.Rule, b.Target, b.JobID, b.Repository, b.Ref, b.Tag, b.Commit, b.Marker,
		b.Body, b.Newest, b.ReplayOf, string(b.State), due, b.Reason, micros(b.ReceivedAt), micros(b.Deadline),
		b.Title, b.Pusher, b.Trace, b.Context, int64(b.MaxRunning), b.ReplaceRunning, b.once(), b.TagCommit, b.ByHand,
		string(b.Origin), b.By.Actor, b.By.Why, string(b.Action), b.ProjectID)
	return nil
}
