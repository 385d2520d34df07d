-- A commit that a rule builds once.

ALTER TABLE builds ADD COLUMN once bigint NOT NULL DEFAULT 0; -- 1: its commit is not built again by its rule and job; 2: and a build of another ref relies on it: a newer push does not replace it
CREATE INDEX builds_once ON builds (commit_id, job_id, seq) WHERE once > 0; -- the build that makes another one needless
