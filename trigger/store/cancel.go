package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrNotWaiting means that a build cannot be canceled, because it does not wait any more. This
// text is shown to the person who asked.
var ErrNotWaiting = errors.New("it does not wait any more")

// canceledBy begins the reason of a build that was canceled. The name of who did follows.
const canceledBy = "canceled by "

// notCanceled is the condition that a dead build was not canceled.
const notCanceled = `reason NOT LIKE '` + canceledBy + `%'`

// Canceled reports whether a person ended the build before it was started.
func (b *Build) Canceled() bool { return b.State == Dead && strings.HasPrefix(b.Reason, canceledBy) }

// Cancel ends a build that waits: it becomes Dead, with who canceled it and why as the reason. It
// returns ErrNotWaiting for any other build: one that is being called may have been started.
func (s *Store) Cancel(ctx context.Context, id, actor, why string) (b *Build, err error) {
	reason := canceledBy + cmp.Or(actor, "somebody")
	if why != "" {
		reason += ": " + why
	}
	for range stopTries {
		if b, err = s.Build(ctx, id); err != nil {
			return nil, err
		}
		switch {
		case b.State == Calling, b.State == Unknown:
			return nil, fmt.Errorf("%w: it was called, and may have been started", ErrNotWaiting)
		case b.Canceled():
			return nil, fmt.Errorf("%w: it was %s", ErrNotWaiting, b.Reason)
		case b.State == Started && !b.Result.Final():
			return nil, fmt.Errorf("%w: it is started, and can be stopped", ErrNotWaiting)
		case b.State == Started:
			return nil, fmt.Errorf("%w: it was started, and its result is %s", ErrNotWaiting, b.Result)
		case b.State != Waiting:
			return nil, fmt.Errorf("%w: it is %s", ErrNotWaiting, b.State)
		}
		b.State, b.Reason = Dead, reason
		b.Record(Attempt{At: time.Now(), Outcome: Dead, Error: reason})
		// The row may be changed meanwhile: a call begins, or its wait.
		if err = s.Save(ctx, b); !errors.Is(err, ErrStale) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cancel: %w", err)
	}
	return b, nil
}

// ToCancel lists the builds that wait and fit a filter, the oldest first. A page has at most
// f.Limit of them. left is how many are on the next pages, and next the cursor of the first of
// these, "" if there is none. Builds that are committed after the first page was read are on no
// page.
func (s *Store) ToCancel(ctx context.Context, f BuildFilter) (ids []string, left int64, next string, err error) {
	low, high, err := s.replayRange(ctx, f.After)
	if err != nil {
		return nil, 0, "", err
	}
	f.State = string(Waiting)
	w := f.where()
	var all int64
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var id string
		err := row.Scan(&low, &id, &all)
		ids = append(ids, id)
		return err
	}, `SELECT seq, id, count(*) OVER () FROM builds WHERE seq + 0 > ? AND seq + 0 <= ?`+w.conditions+` ORDER BY seq + 0 LIMIT ?`,
		slices.Concat([]any{low, high}, w.args, []any{page(f.Limit)})...)
	if err != nil {
		return nil, 0, "", fmt.Errorf("list builds to cancel: %w", err)
	}
	if left = all - int64(len(ids)); left > 0 {
		next = fmt.Sprintf("%d-%d", low, high)
	}
	return ids, left, next, nil
}
