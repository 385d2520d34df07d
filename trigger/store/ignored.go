package store

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Limits of the deliveries that are kept for explaining only.
const (
	ignoredBuffer   = 4096                   // waiting to be written; beyond that they are dropped
	ignoredBytes    = 32 << 20               // of their compressed bodies; beyond that their bodies are dropped
	ignoredBatch    = 256                    // written in one transaction
	ignoredInterval = 200 * time.Millisecond // the longest a delivery waits to be written
	ignoredKept     = 20_000                 // of them in the database, the newest
)

type ignoredRow struct {
	delivery *Delivery
	zipped   []byte
}

// aside is what waits to be written without anybody waiting for it.
type ignoredLog struct {
	rows  chan ignoredRow
	bytes atomic.Int64 // of the bodies in rows
}

// LogIgnored keeps a delivery that built nothing, for explaining. It never blocks:
// when more arrive than can be written they are dropped, and what waits is lost
// if the process is killed. Only the newest are kept.
func (s *Store) LogIgnored(d *Delivery) {
	zipped := []byte{}
	if len(s.ignored.rows) < ignoredBuffer && s.ignored.bytes.Load() < ignoredBytes {
		scratch := s.zip(d.Body)
		zipped = bytes.Clone(scratch)
		s.reuse(scratch)
	}
	kept := *d
	kept.Body = nil // as long as it waits
	s.ignored.bytes.Add(int64(len(zipped)))
	select {
	case s.ignored.rows <- ignoredRow{delivery: &kept, zipped: zipped}:
	default:
		s.ignored.bytes.Add(-int64(len(zipped)))
		s.log.Debug("a delivery that built nothing is not kept: too many at once", "delivery", d.ID)
	}
}

func (s *Store) ignoredLoop() {
	ticker := time.NewTicker(ignoredInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.writeIgnored()
		case <-s.ending:
			s.writeIgnored()
			return
		}
	}
}

// writeIgnored writes what waits, a batch a transaction, and forgets the oldest.
func (s *Store) writeIgnored() {
	for {
		var batch []ignoredRow
		for len(batch) < ignoredBatch {
			select {
			case r := <-s.ignored.rows:
				s.ignored.bytes.Add(-int64(len(r.zipped)))
				batch = append(batch, r)
				continue
			default:
			}
			break
		}
		if len(batch) == 0 {
			return
		}
		if err := s.insertIgnored(batch); err == nil {
			continue
		}
		for _, r := range batch { // a bad one fails alone
			if err := s.insertIgnored([]ignoredRow{r}); err != nil {
				s.log.Warn("a delivery that built nothing was not kept", "delivery", r.delivery.ID, "error", err)
			}
		}
	}
}

// insertIgnored shares a transaction with whatever else is written then.
func (s *Store) insertIgnored(batch []ignoredRow) error {
	rows := newDeliveries()
	for _, r := range batch {
		header, err := headerText(r.delivery)
		if err != nil {
			return err
		}
		rows.addDelivery(r.delivery, header, r.zipped)
	}
	return s.write(context.Background(), nil, func(ctx context.Context, tx *tx) error {
		some := *rows // it may be written again
		if err := some.insert(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM deliveries WHERE outcome <> 'accepted' AND seq <= (
			SELECT seq FROM deliveries WHERE outcome <> 'accepted' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, ignoredKept); err != nil {
			return fmt.Errorf("forget the oldest: %w", err)
		}
		return nil
	})
}
