package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Number is a build number by which the builds of a job are ordered, 0 if it is not a
// number.
func Number(buildNumber string) int64 {
	n, err := strconv.ParseInt(buildNumber, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// recent is how many of the highest numbers of a job Answered looks at: other targets may
// start builds of it too.
const recent = 200

// Answered gives the last build of a target, its service and a job whose number the
// service answered: the service's record of that number is certainly of that build. It
// gives nil if there is none among the last builds of the job.
func (s *Store) Answered(ctx context.Context, target, service, jobID string) (*Build, error) {
	b, err := scanBuild(queryRow(ctx, s.db.reader(), `SELECT `+buildColumns+` FROM builds WHERE seq IN (
			SELECT seq FROM builds WHERE service = ? AND job_id = ? AND seen_no > 0 ORDER BY seen_no DESC LIMIT ?)
		AND target = ? AND claimed AND NOT adopted ORDER BY seen_no DESC LIMIT 1`, service, jobID, recent, target))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("the last answered build of job %s: %w", jobID, err)
	}
	return b, nil
}

// Claimed returns which of the build numbers of a service's job belong to builds already.
func (s *Store) Claimed(ctx context.Context, service, jobID string, numbers []string) ([]string, error) {
	condition, list := s.db.oneOf("build_no", numbers)
	claimed, err := column[string](ctx, s.db.reader(), `SELECT build_no FROM builds
		WHERE service = ? AND job_id = ? AND claimed AND `+condition, service, jobID, list)
	if err != nil {
		return nil, fmt.Errorf("claimed numbers of job %s: %w", jobID, err)
	}
	return claimed, nil
}

// Numbered lists builds that have a build number, n at most, the newest first: each job of each
// service counts by itself. A build that lost its number to another one is not among them.
func (s *Store) Numbered(ctx context.Context, number string, n int) (builds []*Build, err error) {
	return s.between(ctx, number, number, n)
}

// Runs is Numbered for the builds of pipelines whose run has an id that begins so. There is none if no
// id can begin so.
func (s *Store) Runs(ctx context.Context, beginning string, n int) (builds []*Build, err error) {
	first, last, ok := idRange(beginning)
	if !ok {
		return nil, nil
	}
	digits := func(id string) string { return strings.ReplaceAll(id, "-", "") }
	return s.between(ctx, digits(first), digits(last), n)
}

// between gives the builds whose number is from one to the other as text, and as long.
func (s *Store) between(ctx context.Context, first, last string, n int) (builds []*Build, err error) {
	// The index of numbers begins with the service and the job: their few pairs are found by a step
	// from each to the next. SQLite would compare pairs by their first column only.
	err = each(ctx, s.db.reader(), func(row scanner) error {
		b, err := scanBuild(row)
		builds = append(builds, b)
		return err
	}, `WITH RECURSIVE jobs (seq) AS (
			SELECT * FROM (SELECT seq FROM builds WHERE claimed ORDER BY service, job_id LIMIT 1) AS first
			UNION ALL
			SELECT coalesce(
				(SELECT other.seq FROM builds AS other WHERE other.claimed AND other.service = b.service AND other.job_id > b.job_id
					ORDER BY other.service, other.job_id LIMIT 1),
				(SELECT other.seq FROM builds AS other WHERE other.claimed AND other.service > b.service
					ORDER BY other.service, other.job_id LIMIT 1))
			FROM jobs JOIN builds AS b ON b.seq = jobs.seq)
		SELECT `+buildColumns+` FROM builds WHERE seq IN (
			SELECT found.seq FROM jobs JOIN builds AS b ON b.seq = jobs.seq
			JOIN builds AS found ON found.service = b.service AND found.job_id = b.job_id AND found.claimed
				AND found.build_no >= ? AND found.build_no <= ? AND length(found.build_no) = ?)
		ORDER BY seq DESC LIMIT ?`, first, last, len(first), n)
	if err != nil {
		return nil, fmt.Errorf("builds with a number from %s to %s: %w", first, last, err)
	}
	return builds, nil
}
