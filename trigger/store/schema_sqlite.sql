-- Times are microseconds since 1970 in UTC, 0 for none. Text that does not apply is ''.
-- STRICT: a row that could not be read would be in the way of all others.

CREATE TABLE deliveries (
    id            text PRIMARY KEY NOT NULL, -- UUIDv7: the order of ids is the order of arrival
    source        text NOT NULL,
    provider      text NOT NULL,
    host_id       text NOT NULL,
    event         text NOT NULL,
    repository    text NOT NULL,
    ref           text NOT NULL,
    commit_id     text NOT NULL,
    received_at   integer NOT NULL,
    outcome       text NOT NULL, -- accepted, ignored, duplicate
    reason        text NOT NULL, -- of an ignored one; of a duplicate, the id it repeats
    duplicate_key text NOT NULL,
    verdicts      text NOT NULL, -- JSON, of an ignored one
    header        text NOT NULL, -- JSON: what names the event
    body          blob NOT NULL, -- compressed (Snappy), without secrets
    replay_of     text NOT NULL
) STRICT;
CREATE INDEX deliveries_duplicate ON deliveries (source, duplicate_key, received_at) WHERE outcome = 'accepted';
CREATE INDEX deliveries_replays ON deliveries (replay_of, id) WHERE replay_of <> '';
CREATE INDEX deliveries_received ON deliveries (received_at);
CREATE INDEX deliveries_bodies ON deliveries (received_at) WHERE length(body) > 0;
CREATE INDEX deliveries_source ON deliveries (source, id);
CREATE INDEX deliveries_repository ON deliveries (repository, id);
CREATE INDEX deliveries_aside ON deliveries (id) WHERE outcome <> 'accepted';

CREATE TABLE builds (
    seq           integer PRIMARY KEY AUTOINCREMENT, -- the order of commit
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
    body          blob NOT NULL, -- the RunJob body as it is sent
    newest        integer NOT NULL,
    replay_of     text NOT NULL,
    by_hand       integer NOT NULL DEFAULT 0, -- asked for by a person: out of the order of its line
    state         text NOT NULL,
    reason        text NOT NULL,
    superseded_by text NOT NULL DEFAULT '',
    received_at   integer NOT NULL,
    deadline      integer NOT NULL,
    attempts      integer NOT NULL DEFAULT 0,
    log           text NOT NULL DEFAULT '', -- JSON: the last attempts
    caller        text NOT NULL DEFAULT '',
    service       text NOT NULL DEFAULT '', -- the address of the last call: with job_id and build_no it names a build of the service
    called_at     integer NOT NULL DEFAULT 0,
    called_there  integer NOT NULL DEFAULT 0, -- called_at by the service's clock, or earlier; 0 if that was not known
    known_no      integer NOT NULL DEFAULT 0, -- highest number of the job that was known when it was called
    asked         integer NOT NULL DEFAULT 0,
    build_no      text NOT NULL DEFAULT '',
    seen_no       integer NOT NULL DEFAULT 0, -- highest number of the job that it saw: its own, or in records
    adopted       integer NOT NULL DEFAULT 0, -- the number was found by asking
    claimed       integer NOT NULL DEFAULT 0, -- nobody else may have the number
    started_at    integer NOT NULL DEFAULT 0,
    parked_until  integer NOT NULL DEFAULT 0, -- has no wake-up until another build is resolved, or until then
    held_call     integer NOT NULL DEFAULT 0, -- parked because of another call for its service, job, and ref or commit
    version       integer NOT NULL DEFAULT 0,
    trace         text NOT NULL DEFAULT '' -- traceparent of the span that committed it
) STRICT;
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
CREATE INDEX builds_unresolved ON builds (target, state, received_at) WHERE state IN ('waiting', 'calling', 'unknown');
