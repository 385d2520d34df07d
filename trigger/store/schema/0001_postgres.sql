-- What only replicas need that share a database.

ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL; -- not compressed a second time
ALTER TABLE deliveries_blocks ALTER COLUMN filter SET STORAGE PLAIN; -- in the row: all are read in a row
ALTER TABLE builds_blocks ALTER COLUMN filter SET STORAGE PLAIN;

-- The one of them that leads.
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
