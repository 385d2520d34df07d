package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultIgnored is how many deliveries the ignored log has, if nothing else is asked for.
const DefaultIgnored = 20_000

// Limits of what waits for the ignored log.
const (
	ignoredBuffer   = 4096                   // deliveries that wait to be written; beyond that they are dropped
	ignoredBytes    = 32 << 20               // of their compressed bodies; beyond that the bodies are dropped
	ignoredBatch    = 256                    // written in one transaction
	ignoredInterval = 200 * time.Millisecond // the longest that a delivery waits to be written
)

// ignoredLog holds the deliveries that built nothing and wait to be written.
type ignoredLog struct {
	rows   chan encodedDelivery
	bytes  atomic.Int64  // of the bodies in rows
	lost   atomic.Int64  // when one was dropped last, in microseconds; 0 for never
	ending chan struct{} // closed when the log is to be written for the last time
	loop   sync.WaitGroup
}

// LogIgnored keeps a delivery that built nothing, for explaining. It never blocks: when
// more arrive than can be written they are dropped, and those that wait are lost if the
// process is killed. Only the newest are kept.
func (s *Store) LogIgnored(d *Delivery) {
	if s.keepIgnored < 0 {
		return
	}
	l, kept := &s.ignored, *d
	full := len(l.rows) >= ignoredBuffer || l.bytes.Load() >= ignoredBytes
	if full {
		kept.Body = nil
	}
	r, err := encode(&kept)
	if err != nil {
		s.notLogged(d, err)
		return
	}
	if full {
		r.zipped = r.zipped[:0]
	}
	kept.Body, r.zipped = nil, bytes.Clone(r.zipped) // as short as it is, for as long as it waits
	l.bytes.Add(int64(len(r.zipped)))
	select {
	case l.rows <- r:
	default:
		l.bytes.Add(-int64(len(r.zipped)))
		l.lost.Store(micros(time.Now()))
		s.log.LogAttrs(s.life, slog.LevelDebug, "ignored delivery is not kept: too many at once", slog.String("delivery", d.ID))
	}
}

func (s *Store) notLogged(d *Delivery, err error) {
	s.ignored.lost.Store(micros(time.Now()))
	s.log.LogAttrs(s.life, slog.LevelWarn, "ignored delivery was not kept",
		slog.String("delivery", d.ID), slog.String("error", err.Error()))
}

// IgnoredSince gives the time since which the ignored log has every delivery, apart from those that
// are too old by the [Retention]: zero if none was left out, now if it keeps none. It knows what
// this process dropped, not what others did.
func (s *Store) IgnoredSince(ctx context.Context) (time.Time, error) {
	if s.keepIgnored < 0 {
		return time.Now(), nil
	}
	var oldest int64 // of a log that is full
	err := queryRow(ctx, s.db.reader(), `SELECT received_at FROM deliveries WHERE outcome <> 'accepted' ORDER BY seq DESC LIMIT 1 OFFSET ?`,
		s.keepIgnored-1).Scan(&oldest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, fmt.Errorf("how far the ignored log reaches back: %w", err)
	}
	return fromMicros(max(oldest, s.ignored.lost.Load())), nil
}

func (s *Store) ignoredLoop() {
	ticker := time.NewTicker(ignoredInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.writeIgnored()
		case <-s.ignored.ending:
			s.writeIgnored()
			return
		}
	}
}

// writeIgnored writes what waits, a batch in each transaction.
func (s *Store) writeIgnored() {
	for {
		batch := takeWaiting(nil, s.ignored.rows, ignoredBatch)
		if len(batch) == 0 {
			return
		}
		for _, r := range batch {
			s.ignored.bytes.Add(-int64(len(r.zipped)))
		}
		if err := s.insertIgnored(batch); err == nil {
			continue
		}
		for _, r := range batch { // a bad one fails alone
			if err := s.insertIgnored([]encodedDelivery{r}); err != nil {
				s.notLogged(r.Delivery, err)
			}
		}
	}
}

// insertIgnored inserts rows, and deletes the oldest of the log.
func (s *Store) insertIgnored(batch []encodedDelivery) error {
	return s.write(context.Background(), nil, func(ctx context.Context, tx *tx) error {
		rows := newDeliveries()
		for _, r := range batch {
			rows.addDelivery(r)
		}
		if err := rows.insert(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM deliveries WHERE outcome <> 'accepted' AND seq <= (
			SELECT seq FROM deliveries WHERE outcome <> 'accepted' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, s.keepIgnored); err != nil {
			return fmt.Errorf("delete the oldest of the ignored log: %w", err)
		}
		return nil
	})
}
