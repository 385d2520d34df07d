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
	asideBuffer   = 4096                   // waiting to be written; beyond that they are dropped
	asideBytes    = 32 << 20               // of their compressed bodies; beyond that their bodies are dropped
	asideBatch    = 256                    // written in one transaction
	asideInterval = 200 * time.Millisecond // the longest a delivery waits to be written
	asideKept     = 20_000                 // of them in the database, the newest
)

type asideRow struct {
	delivery *Delivery
	zipped   []byte
}

// aside is what waits to be written without anybody waiting for it.
type aside struct {
	rows  chan asideRow
	bytes atomic.Int64 // of the bodies in rows
}

// PutAside keeps a delivery that built nothing, for explaining. It never blocks:
// when more arrive than can be written they are dropped, and what waits is lost
// if the process is killed. Only the newest are kept.
func (s *Store) PutAside(d *Delivery) {
	zipped := []byte{}
	if len(s.aside.rows) < asideBuffer && s.aside.bytes.Load() < asideBytes {
		scratch := s.zip(d.Body)
		zipped = bytes.Clone(scratch)
		s.reuse(scratch)
	}
	kept := *d
	kept.Body = nil // as long as it waits
	s.aside.bytes.Add(int64(len(zipped)))
	select {
	case s.aside.rows <- asideRow{delivery: &kept, zipped: zipped}:
	default:
		s.aside.bytes.Add(-int64(len(zipped)))
		s.log.Debug("a delivery that built nothing is not kept: too many at once", "delivery", d.ID)
	}
}

func (s *Store) asideLoop() {
	ticker := time.NewTicker(asideInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.writeAside()
		case <-s.ending:
			s.writeAside()
			return
		}
	}
}

// writeAside writes what waits, a batch a transaction, and forgets the oldest.
func (s *Store) writeAside() {
	for {
		var batch []asideRow
		for len(batch) < asideBatch {
			select {
			case r := <-s.aside.rows:
				s.aside.bytes.Add(-int64(len(r.zipped)))
				batch = append(batch, r)
				continue
			default:
			}
			break
		}
		if len(batch) == 0 {
			return
		}
		if err := s.insertAside(batch); err == nil {
			continue
		}
		for _, r := range batch { // a bad one fails alone
			if err := s.insertAside([]asideRow{r}); err != nil {
				s.log.Warn("a delivery that built nothing was not kept", "delivery", r.delivery.ID, "error", err)
			}
		}
	}
}

// insertAside shares a transaction with whatever else is written then.
func (s *Store) insertAside(batch []asideRow) error {
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
			SELECT seq FROM deliveries WHERE outcome <> 'accepted' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, asideKept); err != nil {
			return fmt.Errorf("forget the oldest: %w", err)
		}
		return nil
	})
}
