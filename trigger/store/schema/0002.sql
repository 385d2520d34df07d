-- What becomes of builds after their start, and the statuses on commits.

ALTER TABLE builds ADD COLUMN tag_commit text NOT NULL DEFAULT ''; -- the commit that its tag is on, '' if that is not known
ALTER TABLE builds ADD COLUMN context text NOT NULL DEFAULT ''; -- of its status on the commit, '' for no status
ALTER TABLE builds ADD COLUMN replace_running {bool} NOT NULL DEFAULT {false}; -- after its start, those of its ordering key that run are stopped
ALTER TABLE builds ADD COLUMN max_running bigint NOT NULL DEFAULT 0; -- it waits while so many of its ordering key run, 0 for any number
ALTER TABLE builds ADD COLUMN result text NOT NULL DEFAULT ''; -- running, success, failure, aborted, timeout, lost; '' if it was not started, or is not followed
ALTER TABLE builds ADD COLUMN running_at bigint NOT NULL DEFAULT 0; -- since when the service runs it, 0 while it is queued there
ALTER TABLE builds ADD COLUMN ended_at bigint NOT NULL DEFAULT 0;
ALTER TABLE builds ADD COLUMN message text NOT NULL DEFAULT ''; -- what the service says of its end, or why its end is not known
ALTER TABLE builds ADD COLUMN step text NOT NULL DEFAULT ''; -- the step that failed
ALTER TABLE builds ADD COLUMN record_id text NOT NULL DEFAULT ''; -- the service's names, for the console's address
ALTER TABLE builds ADD COLUMN project_id text NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN stop text NOT NULL DEFAULT ''; -- why it is to be stopped, '' if it is not
ALTER TABLE builds ADD COLUMN stopped_at bigint NOT NULL DEFAULT 0; -- when the service took the stop
CREATE INDEX builds_open ON builds (target, job_id, seq) WHERE result = 'running'; -- the builds that are followed
CREATE INDEX builds_running ON builds (ref, job_id, seq) WHERE result = 'running'; -- those that hold or are replaced by others of their ordering key
CREATE INDEX builds_result ON builds (result, seq) WHERE result IN ('failure', 'aborted', 'timeout', 'lost'); -- lists of results that few builds have

-- A row for each job that has builds which are followed.
CREATE TABLE follows (
    seq       {seq},
    target    text NOT NULL,
    job_id    text NOT NULL,
    due_at    bigint NOT NULL, -- when to ask the service next, 0 for never; if a replica asks, when its lease ends
    worker    text NOT NULL DEFAULT '', -- the replica that asks
    failures  bigint NOT NULL DEFAULT 0, -- how often in a row the service could not be asked
    version   bigint NOT NULL DEFAULT 0, -- of the row: a change of an older version is refused
    UNIQUE (target, job_id)
) {strict};
CREATE INDEX follows_due ON follows (target, due_at) WHERE due_at > 0;

-- A row for each status on a commit. What it should say follows from the build.
CREATE TABLE statuses (
    seq        {seq},
    source     text NOT NULL,
    repository text NOT NULL,
    commit_id  text NOT NULL,
    context    text NOT NULL,
    build      text NOT NULL, -- the newest build of the context: the status is about it
    build_seq  bigint NOT NULL,
    due_at     bigint NOT NULL, -- when to compare it with the build next, 0 for never; if a replica does, when its lease ends
    worker     text NOT NULL DEFAULT '',
    sent       text NOT NULL DEFAULT '', -- the state that the host was told last, '' for none
    sent_build text NOT NULL DEFAULT '', -- the build that it was about
    ref        text NOT NULL DEFAULT '', -- what the host answered: the id of a check run or of a pipeline
    attempts   bigint NOT NULL DEFAULT 0, -- how often in a row the host did not take it
    since      bigint NOT NULL DEFAULT 0, -- since when it differs from what the host was told, 0 if it does not
    reason     text NOT NULL DEFAULT '', -- why the host does not take it
    version    bigint NOT NULL DEFAULT 0,
    UNIQUE (source, repository, commit_id, context)
) {strict};
CREATE INDEX statuses_due ON statuses (source, due_at) WHERE due_at > 0;
CREATE INDEX statuses_build ON statuses (build_seq); -- the status of a build
