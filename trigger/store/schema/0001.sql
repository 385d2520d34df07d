-- The tables of both databases: {words} in braces stand for what they write differently
-- (schema.go). Times are microseconds since 1970 in UTC, 0 for none. Text that does not
-- apply is ''. Every index names the query that it is there for.

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
    reason        text NOT NULL, -- of an ignored one; of a duplicate, the id it repeats
    duplicate_key text NOT NULL,
    verdicts      text NOT NULL, -- JSON, of an ignored one
    header        text NOT NULL, -- JSON: what names the event
    replay_of     text NOT NULL,
    body          {bytes} NOT NULL -- compressed (Snappy), without secrets
) {strict};
CREATE INDEX deliveries_duplicate ON deliveries (source, duplicate_key, received_at) WHERE outcome = 'accepted'; -- was it committed before?
CREATE INDEX deliveries_replays ON deliveries (replay_of, id) WHERE replay_of <> ''; -- the last replay of one
CREATE INDEX deliveries_ignored ON deliveries (seq, outcome, reason, received_at, source, repository, ref) WHERE outcome <> 'accepted'; -- the ignored log: lists, and the oldest of it

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
    body          {bytes} NOT NULL, -- the RunJob body as it is sent
    newest        {bool} NOT NULL,
    replay_of     text NOT NULL,
    by_hand       {bool} NOT NULL DEFAULT {false}, -- asked for by a person: out of the order
    state         text NOT NULL,
    unresolved    {bool} NOT NULL GENERATED ALWAYS AS (state IN ('waiting', 'calling', 'unknown')) STORED,
    due_at        bigint NOT NULL, -- when to look at it next; 0 for never. Of one that a replica holds, when its lease ends
    worker        text NOT NULL DEFAULT '', -- the replica that holds it
    held          bigint NOT NULL DEFAULT 0, -- 1: by an earlier build, 2: by the call of another; due before due_at when that is resolved
    reason        text NOT NULL,
    superseded_by text NOT NULL DEFAULT '',
    received_at   bigint NOT NULL,
    deadline      bigint NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    log           text NOT NULL DEFAULT '', -- JSON: the last attempts
    caller        text NOT NULL DEFAULT '', -- the replica that made the last call
    service       text NOT NULL DEFAULT '', -- the address of the last call: with job_id and build_no it names a build of the service
    called_at     bigint NOT NULL DEFAULT 0,
    called_there  bigint NOT NULL DEFAULT 0, -- called_at by the service's clock, or earlier; 0 if that was not known
    known_no      bigint NOT NULL DEFAULT 0, -- highest number of the job that was known when it was called
    asked         bigint NOT NULL DEFAULT 0,
    build_no      text NOT NULL DEFAULT '',
    seen_no       bigint NOT NULL DEFAULT 0, -- highest number of the job that it saw: its own, or in records
    adopted       {bool} NOT NULL DEFAULT {false}, -- the number was found by asking
    claimed       {bool} NOT NULL DEFAULT {false}, -- nobody else may have the number
    started_at    bigint NOT NULL DEFAULT 0,
    version       bigint NOT NULL DEFAULT 0, -- of the row: a write to an older one changes nothing
    trace         text NOT NULL DEFAULT '' -- traceparent of the span that committed it
) {strict};
CREATE INDEX builds_due ON builds (target, due_at, state, received_at) WHERE due_at > 0; -- the queue: what is due, and how long it is
CREATE INDEX builds_ref ON builds (ref, job_id, seq) WHERE unresolved; -- what keeps the order, is superseded, or has a call
CREATE INDEX builds_commit ON builds (commit_id, job_id) WHERE unresolved AND state <> 'waiting' AND commit_id <> ''; -- calls for the same commit
CREATE INDEX builds_held ON builds (ref, job_id, seq) WHERE held = 2; -- what waits for a call, by its ref
CREATE INDEX builds_held_commit ON builds (commit_id, job_id, seq) WHERE held = 2 AND commit_id <> ''; -- and by its commit
CREATE UNIQUE INDEX builds_number ON builds (service, job_id, build_no) WHERE claimed; -- whose is a number?
CREATE INDEX builds_seen ON builds (service, job_id, seen_no) WHERE seen_no > 0; -- the highest number of a job
CREATE INDEX builds_delivery ON builds (delivery); -- builds of a delivery
CREATE INDEX builds_replays ON builds (replay_of, seq) WHERE replay_of <> ''; -- the last replay of one
CREATE INDEX builds_state ON builds (state, seq) WHERE state IN ('dead', 'superseded', 'dry_run'); -- lists of what few builds become

-- What runs of rows have, the deliveries that were accepted and the builds: lists and
-- retention leave the others out. Written aside, so that no delivery pays for indexes that
-- only they would use (blocks.go).
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
