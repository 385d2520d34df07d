package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// orderSpan is of how many seqs a page of DeliveriesOldestFirst is at most.
	orderSpan = 1 << 16
	// orderSlack is how much later than its neighbours a delivery may be committed: it waits for
	// the ignored log, or is of a replica whose commit takes long.
	orderSlack = time.Hour
)

// DeliveriesOldestFirst lists what Deliveries lists, in the order of commit, the oldest first.
// Deliveries that are committed after the first page was read are on no page. No transaction
// is open between pages, so that what is deleted meanwhile is on none either. A page that is not
// the last may have few rows, or none: so it takes a bounded time. f.NotReplayed does not count.
func (s *Store) DeliveriesOldestFirst(ctx context.Context, f DeliveryFilter) (deliveries []*Delivery, next string, err error) {
	var low, high int64
	if f.After == "" {
		low, high, err = s.orderedRange(ctx, f.Since)
	} else if _, err = fmt.Sscanf(f.After, "%d-%d", &low, &high); err != nil || fmt.Sprintf("%d-%d", low, high) != f.After {
		err = fmt.Errorf("%w: cursor %q", ErrFilter, f.After)
	}
	if err != nil {
		return nil, "", err
	}
	limit, w, last := page(f.Limit), f.ordered(), min(low+orderSpan-1, high)
	var seq int64
	err = each(ctx, s.db.reader(), func(row scanner) error {
		d, err := scanDelivery(row, &seq)
		deliveries = append(deliveries, d)
		return err
	}, `SELECT `+deliveryColumns+` FROM deliveries WHERE seq BETWEEN ? AND ?`+w.conditions+` ORDER BY seq LIMIT ?`,
		slices.Concat([]any{low, last}, w.args, []any{limit})...)
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	if len(deliveries) == limit {
		last = seq
	}
	if last < high {
		next = fmt.Sprintf("%d-%d", last+1, high)
	}
	return deliveries, next, nil
}

// orderedRange gives the seqs of the deliveries that were received since then: a few older ones
// may be among them.
func (s *Store) orderedRange(ctx context.Context, since time.Time) (low, high int64, err error) {
	err = queryRow(ctx, s.db.reader(), `SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM deliveries`).Scan(&low, &high)
	if err != nil {
		return 0, 0, fmt.Errorf("list deliveries: %w", err)
	}
	if since.IsZero() {
		return low, high, nil
	}
	oldest := micros(since.Add(-orderSlack))
	fits := func(b *block, _ int64) bool { return b.latest >= oldest }
	low = high + 1
	err = s.spans(ctx, deliveryBlocks, high, blockLong, 0, false, fits, func(found []span) (bool, error) {
		if len(found) > 0 {
			low = found[len(found)-1].first
		}
		return true, nil
	})
	return low, high, err
}

// ordered gives the conditions of the filter for rows that are read by their seqs.
func (f *DeliveryFilter) ordered() *where {
	w := &where{}
	for _, column := range []struct{ name, value string }{
		{"source", f.Source}, {"origin", f.Origin}, {"outcome", f.Outcome}, {"reason", f.Reason}, {"repository", f.Repository},
	} {
		if column.value != "" {
			w.add(column.name+" || '' = ?", column.value) // an expression, to keep the planner from other indexes
		}
	}
	w.ref(f.Ref)
	w.commit(f.Commit, deliveryBlocks.commits...)
	w.between(f.Since, f.Until)
	return w
}
