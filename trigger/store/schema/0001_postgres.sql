-- What only replicas need that share a database.

ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL; -- it is compressed already
ALTER TABLE deliveries_blocks ALTER COLUMN filter SET STORAGE PLAIN; -- in the row itself: lists read many filters in a row
ALTER TABLE builds_blocks ALTER COLUMN filter SET STORAGE PLAIN;

-- The replica that leads.
CREATE TABLE leads (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);

-- When the next call of a rate-limited target may be made, by any replica.
CREATE TABLE turns (
    target  text PRIMARY KEY,
    next_at timestamptz NOT NULL
);
