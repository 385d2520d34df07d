-- The tables of both databases. Words in braces stand for what the databases write
-- differently (schema.go). Times are microseconds since 1970 in UTC, 0 for none. Text that
-- does not apply is ''. Each index says which query needs it.

CREATE TABLE deliveries (
    seq           {seq}, -- the order of commit
    id            text NOT NULL UNIQUE, -- UUIDv7: the order of ids is the order of arrival
    source        text NOT NULL,
    provider      text NOT NULL,
    host_id       text NOT NULL,
    event         text NOT NULL,
    repository    text NOT NULL,
    ref           text NOT NULL,
    commit_id     text NOT NULL,
    received_at   bigint NOT NULL,
    outcome       text NOT NULL, -- accepted, ignored, duplicate
    reason        text NOT NULL, -- why it was ignored; of a duplicate, the id of the delivery that it repeats
    duplicate_key text NOT NULL,
    verdicts      text NOT NULL, -- JSON: what each rule said of an ignored delivery
    header        text NOT NULL, -- JSON: the headers that name the event
    replay_of     text NOT NULL,
    body          {bytes} NOT NULL -- compressed (Snappy), without secrets
) {strict};
CREATE INDEX deliveries_duplicate ON deliveries (source, duplicate_key, received_at) WHERE outcome = 'accepted'; -- whether it was committed before
CREATE INDEX deliveries_replays ON deliveries (replay_of, id) WHERE replay_of <> ''; -- the last replay of a delivery
CREATE INDEX deliveries_aside ON deliveries (seq, outcome, reason, received_at, source, repository, ref) WHERE outcome <> 'accepted'; -- the ignored log: lists, and its oldest rows

CREATE TABLE builds (
    seq           {seq}, -- the order of commit
    id            text NOT NULL UNIQUE,
    delivery      text NOT NULL,
    rule          text NOT NULL,
    target        text NOT NULL,
    job_id        text NOT NULL,
    repository    text NOT NULL,
    ref           text NOT NULL,
    tag           text NOT NULL,
    commit_id     text NOT NULL,
    marker        text NOT NULL,
    body          {bytes} NOT NULL, -- the body of RunJob
    newest        {bool} NOT NULL,
    replay_of     text NOT NULL,
    by_hand       {bool} NOT NULL DEFAULT {false}, -- a person asked for it: it waits for no earlier build
    state         text NOT NULL,
    unresolved    {bool} NOT NULL GENERATED ALWAYS AS (state IN ('waiting', 'calling', 'unknown')) STORED,
    due_at        bigint NOT NULL, -- when to look at it next, 0 for never; if a replica works it, when its lease ends
    worker        text NOT NULL DEFAULT '', -- the replica that works it
    held          bigint NOT NULL DEFAULT 0, -- 1: by an earlier build, 2: by the call of another, 3: by those of its ordering key that run; it is due as soon as that is resolved, or ends
    reason        text NOT NULL,
    superseded_by text NOT NULL DEFAULT '',
    received_at   bigint NOT NULL,
    deadline      bigint NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    log           text NOT NULL DEFAULT '', -- JSON: the last attempts
    caller        text NOT NULL DEFAULT '', -- the replica that made the last call
    service       text NOT NULL DEFAULT '', -- the address that was called: with job_id and build_no it names a build of the service
    called_at     bigint NOT NULL DEFAULT 0,
    called_there  bigint NOT NULL DEFAULT 0, -- called_at by the service's clock, or earlier; 0 if that clock was not known
    known_no      bigint NOT NULL DEFAULT 0, -- the highest number of the job that was known when it was called
    asked         bigint NOT NULL DEFAULT 0, -- how often the service was asked what became of the call
    build_no      text NOT NULL DEFAULT '',
    seen_no       bigint NOT NULL DEFAULT 0, -- the highest number of the job that it saw: its own, or in the service's records
    adopted       {bool} NOT NULL DEFAULT {false}, -- the number was found by a search
    claimed       {bool} NOT NULL DEFAULT {false}, -- no other build may have the number
    started_at    bigint NOT NULL DEFAULT 0,
    version       bigint NOT NULL DEFAULT 0, -- of the row: a change of an older version is refused
    trace         text NOT NULL DEFAULT '' -- traceparent of the span that committed it
) {strict};
CREATE INDEX builds_due ON builds (target, due_at, state, received_at) WHERE due_at > 0; -- the queue: the builds that are due, and counts
CREATE INDEX builds_ref ON builds (ref, job_id, seq) WHERE unresolved; -- builds that hold others by order or by a call, or are superseded
CREATE INDEX builds_commit ON builds (commit_id, job_id) WHERE unresolved AND state <> 'waiting' AND commit_id <> ''; -- builds that hold others by a call for the same commit
CREATE INDEX builds_held ON builds (ref, job_id, seq) WHERE held = 2; -- builds held by a call, by their ref
CREATE INDEX builds_held_commit ON builds (commit_id, job_id, seq) WHERE held = 2 AND commit_id <> ''; -- and by their commit
CREATE UNIQUE INDEX builds_number ON builds (service, job_id, build_no) WHERE claimed; -- the build that has a number
CREATE INDEX builds_seen ON builds (service, job_id, seen_no) WHERE seen_no > 0; -- the highest number of a job
CREATE INDEX builds_delivery ON builds (delivery); -- the builds of a delivery
CREATE INDEX builds_replays ON builds (replay_of, seq) WHERE replay_of <> ''; -- the last replay of a build
CREATE INDEX builds_state ON builds (state, seq) WHERE state IN ('dead', 'superseded', 'dry_run'); -- lists of states that few builds have

-- Blocks describe runs of rows, of builds and of accepted deliveries: lists and pruning read
-- only the rows of the blocks that fit. They are written in the background, so that no
-- delivery pays for indexes which only lists would use (blocks.go).
CREATE TABLE deliveries_blocks (
    last_seq  bigint PRIMARY KEY,
    first_seq bigint NOT NULL,
    earliest  bigint NOT NULL, -- received_at
    latest    bigint NOT NULL,
    emptied   {bool} NOT NULL DEFAULT {false}, -- no body is left
    filter    {bytes} NOT NULL -- Bloom filter of source, repository, ref
) {strict};
CREATE TABLE builds_blocks (
    last_seq  bigint PRIMARY KEY,
    first_seq bigint NOT NULL,
    earliest  bigint NOT NULL,
    latest    bigint NOT NULL,
    filter    {bytes} NOT NULL -- of rule, target, job_id, repository, ref
) {strict};
