-- What people ask for: starts by hand, pauses, and pushes that were missed.

ALTER TABLE deliveries ADD COLUMN origin text NOT NULL DEFAULT 'webhook'; -- webhook, manual, catch_up
ALTER TABLE deliveries ADD COLUMN actor text NOT NULL DEFAULT ''; -- who asked for it, '' for nobody
ALTER TABLE deliveries ADD COLUMN why text NOT NULL DEFAULT ''; -- what they gave as the reason
ALTER TABLE deliveries ADD COLUMN pusher text NOT NULL DEFAULT ''; -- of the first event
ALTER TABLE deliveries ADD COLUMN title text NOT NULL DEFAULT ''; -- the first line of its commit message
ALTER TABLE deliveries ADD COLUMN more text NOT NULL DEFAULT ''; -- of one with several events: digests of the refs and commits of the others, 16 hex digits each
CREATE INDEX deliveries_origin ON deliveries (origin, seq) WHERE origin <> 'webhook'; -- lists of what no code host sent

ALTER TABLE builds ADD COLUMN origin text NOT NULL DEFAULT 'webhook'; -- that of its delivery
ALTER TABLE builds ADD COLUMN actor text NOT NULL DEFAULT ''; -- who asked for it, '' for nobody
ALTER TABLE builds ADD COLUMN why text NOT NULL DEFAULT ''; -- what they gave as the reason
ALTER TABLE builds ADD COLUMN pusher text NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN title text NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN paused_at bigint NOT NULL DEFAULT 0; -- since when a pause holds it (held = 4), 0 if none does: its deadline stands still
ALTER TABLE builds ADD COLUMN resumed_at bigint NOT NULL DEFAULT 0; -- when the last pause ended that held it, 0 for none
CREATE INDEX builds_origin ON builds (origin, seq) WHERE origin <> 'webhook'; -- lists of what no code host sent
CREATE INDEX builds_paused ON builds (seq) WHERE held = 4; -- the builds that go on when a pause ends
DROP INDEX builds_due;
CREATE INDEX builds_due ON builds (target, due_at, state, received_at, held, resumed_at) WHERE due_at > 0; -- the queue: the builds that are due, and counts

-- Pauses: the builds that one names are not called.
CREATE TABLE pauses (
    seq        {seq},
    kind       text NOT NULL, -- all, target, rule, repository
    name       text NOT NULL, -- '' for all; a repository in lower case
    reason     text NOT NULL,
    actor      text NOT NULL,
    created_at bigint NOT NULL,
    until_at   bigint NOT NULL, -- when it ends by itself, 0 for never
    says       text NOT NULL, -- the reason of the builds that it holds
    UNIQUE (kind, name)
) {strict};

-- A row for each repository whose refs are looked at.
CREATE TABLE repositories (
    seq        {seq},
    source     text NOT NULL,
    repository text NOT NULL, -- as its host spells it, or the rules before it delivered
    due_at     bigint NOT NULL, -- when to look at its refs next, 0 for never; if a replica does, when its lease ends
    worker     text NOT NULL DEFAULT '', -- the replica that looks
    looked_at  bigint NOT NULL DEFAULT 0, -- when the last look began that read all refs, 0 for none
    failures   bigint NOT NULL DEFAULT 0, -- how often in a row they could not be read
    reason     text NOT NULL DEFAULT '', -- why they could not
    known      {bytes}, -- digests of the refs with their commits that need no look any more, sorted
    UNIQUE (source, repository)
) {strict};
CREATE INDEX repositories_due ON repositories (source, due_at) WHERE due_at > 0;

-- A row for each ref whose commit no delivery has named.
CREATE TABLE missed_refs (
    seq        {seq},
    source     text NOT NULL,
    repository text NOT NULL, -- in lower case
    ref        text NOT NULL,
    commit_id  text NOT NULL, -- the commit, also of an annotated tag; '' if a delivery told of another one before it counted as missed
    was        text NOT NULL, -- digests of the commits that the ref was at before, 8 hex digits each
    found_at   bigint NOT NULL, -- the look that saw it first
    missed_at  bigint NOT NULL DEFAULT 0, -- since when it counts as missed: it was still so at the next look; 0 before
    delivery   text NOT NULL DEFAULT '', -- the delivery that was made of it, '' for none
    built      {bool} NOT NULL DEFAULT {false}, -- that delivery has builds: a late one of the code host is compared with them
    unsure     {bool} NOT NULL DEFAULT {false}, -- its delivery may have been forgotten by the ignored log: it is only reported
    UNIQUE (source, repository, ref)
) {strict};
CREATE INDEX missed_refs_missed ON missed_refs (missed_at) WHERE missed_at > 0; -- the gauge

-- The filters of blocks have commits from now on: the blocks are written again in the background.
DELETE FROM deliveries_blocks;
DELETE FROM builds_blocks;
