package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// onceWithin is how long a build that was started makes those of the same commit needless,
// whatever its result is.
const onceWithin = 24 * time.Hour

// Values of the column once.
const (
	onceBuilt  = 1 // its commit is not built again
	onceShared = 2 // so a build of another ref was superseded by it, and it is not replaced
)

// OnceReason is why a build is superseded by one of the same commit, before the id of that one.
const OnceReason = "once: commit: the same commit as build "

// findOnce gives the builds of a delivery whose commit the same rule and job build already, or
// have built: they are superseded by that build. Builds for which a person asked always run.
func findOnce(ctx context.Context, tx *tx, a *acceptance) (superseded []*Build, err error) {
	for _, b := range a.builds {
		if !b.isOnce() || b.ByHand || b.State != Waiting && b.State != "" {
			continue
		}
		before, ref, err := onceBefore(ctx, tx, b)
		if err != nil {
			return nil, fmt.Errorf("look for builds of commit %s: %w", b.Commit, err)
		}
		if before == "" {
			continue
		}
		if ref != b.Ref {
			// The version stays: who calls it now goes on.
			if _, err := tx.exec(ctx, `UPDATE builds SET once = ? WHERE id = ?`, int64(onceShared), before); err != nil {
				return nil, fmt.Errorf("rely on build %s: %w", before, err)
			}
		}
		b.State, b.SupersededBy, b.Reason = Superseded, before, OnceReason+before
		superseded = append(superseded, b)
	}
	return superseded, nil
}

// isOnce says whether the commit of the build is not built again. A tag is always built.
func (b *Build) isOnce() bool { return b.Once && b.Commit != "" && b.Tag == "" }

// SupersededOnce says whether a build of the same commit made b needless. It is the newest of its
// ordering key all the same.
func (b *Build) SupersededOnce() bool {
	return b.State == Superseded && strings.HasPrefix(b.Reason, OnceReason)
}

// once is the column of a new build.
func (b *Build) once() int64 {
	if b.isOnce() {
		return onceBuilt
	}
	return 0
}

// onceBefore gives the newest build of another delivery that makes b needless, and its ref; ""
// if there is none.
func onceBefore(ctx context.Context, tx *tx, b *Build) (id, ref string, err error) {
	err = each(ctx, tx, func(row scanner) error {
		var found, of, repository string
		if err := row.Scan(&found, &of, &repository); err != nil {
			return err
		}
		if strings.EqualFold(repository, b.Repository) {
			id, ref = found, of
		}
		return nil
	}, `SELECT id, ref, repository FROM builds
		WHERE commit_id = ? AND job_id = ? AND once > 0 AND rule = ? AND target = ? AND delivery <> ?
		AND (state IN ('waiting', 'calling', 'unknown') OR state = 'started' AND (started_at > ? OR result = 'success'))
		ORDER BY seq`, b.Commit, b.JobID, b.Rule, b.Target, b.Delivery, micros(b.ReceivedAt.Add(-onceWithin)))
	return id, ref, err
}
