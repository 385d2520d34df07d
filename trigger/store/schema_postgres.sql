-- Times are microseconds since 1970 in UTC, 0 for none. Text that does not apply is ''.

CREATE TABLE deliveries (
    id            text PRIMARY KEY NOT NULL, -- UUIDv7: the order of ids is the order of arrival
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
    body          bytea NOT NULL, -- compressed (Snappy), without secrets
    replay_of     text NOT NULL
);
ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL; -- not compressed a second time
CREATE INDEX deliveries_duplicate ON deliveries (source, duplicate_key, received_at) WHERE outcome = 'accepted';
CREATE INDEX deliveries_replays ON deliveries (replay_of, id) WHERE replay_of <> '';
CREATE INDEX deliveries_received ON deliveries (received_at);
CREATE INDEX deliveries_bodies ON deliveries (received_at) WHERE length(body) > 0;
CREATE INDEX deliveries_source ON deliveries (source, id);
CREATE INDEX deliveries_repository ON deliveries (repository, id);
CREATE INDEX deliveries_aside ON deliveries (id) WHERE outcome <> 'accepted';

CREATE TABLE builds (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of commit
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
    body          bytea NOT NULL, -- the RunJob body as it is sent
    newest        boolean NOT NULL,
    replay_of     text NOT NULL,
    by_hand       boolean NOT NULL DEFAULT false, -- asked for by a person: out of the order of its line
    state         text NOT NULL,
    reason        text NOT NULL,
    superseded_by text NOT NULL DEFAULT '',
    received_at   bigint NOT NULL,
    deadline      bigint NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    log           text NOT NULL DEFAULT '', -- JSON: the last attempts
    caller        text NOT NULL DEFAULT '',
    service       text NOT NULL DEFAULT '', -- the address of the last call: with job_id and build_no it names a build of the service
    called_at     bigint NOT NULL DEFAULT 0,
    called_there  bigint NOT NULL DEFAULT 0, -- called_at by the service's clock, or earlier; 0 if that was not known
    known_no      bigint NOT NULL DEFAULT 0, -- highest number of the job that was known when it was called
    asked         bigint NOT NULL DEFAULT 0,
    build_no      text NOT NULL DEFAULT '',
    seen_no       bigint NOT NULL DEFAULT 0, -- highest number of the job that it saw: its own, or in records
    adopted       boolean NOT NULL DEFAULT false, -- the number was found by asking
    claimed       boolean NOT NULL DEFAULT false, -- nobody else may have the number
    started_at    bigint NOT NULL DEFAULT 0,
    parked_until  bigint NOT NULL DEFAULT 0, -- has no wake-up until another build is resolved, or until then
    held_call     boolean NOT NULL DEFAULT false, -- parked because of another call for its service, job, and ref or commit
    version       bigint NOT NULL DEFAULT 0,
    trace         text NOT NULL DEFAULT '' -- traceparent of the span that committed it
);
CREATE UNIQUE INDEX builds_number ON builds (service, job_id, build_no) WHERE claimed;
CREATE INDEX builds_seen ON builds (service, job_id, seen_no) WHERE seen_no > 0;
CREATE INDEX builds_delivery ON builds (delivery);
CREATE INDEX builds_received ON builds (received_at);
CREATE INDEX builds_rule ON builds (rule, seq);
CREATE INDEX builds_repository ON builds (repository, seq);
CREATE INDEX builds_state ON builds (state, seq) WHERE state <> 'started';
CREATE INDEX builds_replays ON builds (replay_of, seq) WHERE replay_of <> '';
-- Each begins with what tells most apart, and no other index has first.
-- Builds of the same service, job, and ref or commit share the service's answer to
-- "was it started?"; the same target, rule and repository besides keep their order.
CREATE INDEX builds_line ON builds (ref, job_id, target, rule, repository, seq) WHERE state IN ('waiting', 'calling', 'unknown');
CREATE INDEX builds_commit ON builds (commit_id, job_id, service) WHERE state IN ('waiting', 'calling', 'unknown') AND commit_id <> '';
CREATE INDEX builds_held ON builds (ref, job_id, service, seq) WHERE held_call;
CREATE INDEX builds_held_commit ON builds (commit_id, job_id, service, seq) WHERE held_call AND commit_id <> '';
CREATE INDEX builds_parked ON builds (parked_until) WHERE parked_until > 0;
-- Read whole, to be counted. It begins with what no condition names: while the
-- server has no statistics it would take it for the others.
CREATE INDEX builds_unresolved ON builds (deadline, target, state, received_at) WHERE state IN ('waiting', 'calling', 'unknown');

-- The processes that share this database, and the one of them that leads.
CREATE TABLE replicas (
    id      text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
CREATE TABLE leads (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);

-- When the next call of a rate-limited target is due, whoever makes it.
CREATE TABLE turns (
    target  text PRIMARY KEY,
    next_at timestamptz NOT NULL
);
