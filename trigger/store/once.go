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
	for i, b := range a.builds {
		b.shared = false // it may be so by a transaction that was rolled back
		if !b.isOnce() || b.ByHand || !b.waits() {
			continue
		}
		before, err := relyOn(ctx, tx, b)
		if err != nil {
			return nil, fmt.Errorf("look for builds of commit %s: %w", b.Commit, err)
		}
		if before == "" {
			before = relyOnEarlier(a.builds[:i], b)
		}
		if before != "" {
			b.State, b.SupersededBy, b.Reason = Superseded, before, OnceReason+before
			superseded = append(superseded, b)
		}
	}
	return superseded, nil
}

// relyOn gives the newest build of another delivery that makes b needless, "" if there is none.
// If that is of another ref, no newer push replaces it from now on. It is asked whether it still
// waits or runs in the statement that notes this: another replica may replace it at this moment.
// Its version stays, so that who calls it now goes on.
func relyOn(ctx context.Context, tx *tx, b *Build) (string, error) {
	const counts = `superseded_by = '' AND
		(state IN ('waiting', 'calling', 'unknown') OR state = 'started' AND (started_at > ? OR result = 'success'))`
	since := micros(b.ReceivedAt.Add(-onceWithin))
	ids, err := column[string](ctx, tx, `UPDATE builds SET once = CASE WHEN ref = ? THEN once ELSE ? END
		WHERE seq = (SELECT max(seq) FROM builds WHERE commit_id = ? AND job_id = ? AND once > 0 AND rule = ? AND target = ?
		AND lower(repository) = lower(?) AND delivery <> ? AND `+counts+`) AND `+counts+` RETURNING id`,
		b.Ref, int64(onceShared), b.Commit, b.JobID, b.Rule, b.Target, b.Repository, b.Delivery, since, since)
	return strings.Join(ids, ""), err
}

// relyOnEarlier gives the build of the same commit on another ref of the same delivery.
func relyOnEarlier(builds []*Build, b *Build) string {
	for _, o := range builds {
		if o.isOnce() && o.waits() && o.Ref != b.Ref && o.Commit == b.Commit && o.JobID == b.JobID && o.Rule == b.Rule &&
			o.Target == b.Target && strings.EqualFold(o.Repository, b.Repository) {
			o.shared = true
			return o.ID
		}
	}
	return ""
}

// waits says whether a new build is to be called.
func (b *Build) waits() bool { return b.State == Waiting || b.State == "" }

// isOnce says whether the commit of the build is not built again. A tag is always built.
func (b *Build) isOnce() bool { return b.Once && b.Commit != "" && b.Tag == "" }

// SupersededOnce says whether a build of the same commit made b needless. It is the newest of its
// ordering key all the same.
func (b *Build) SupersededOnce() bool {
	return b.State == Superseded && strings.HasPrefix(b.Reason, OnceReason)
}

// once is the column of a new build.
func (b *Build) once() int64 {
	switch {
	case !b.isOnce():
		return 0
	case b.shared:
		return onceShared
	default:
		return onceBuilt
	}
}
