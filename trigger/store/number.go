package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
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
