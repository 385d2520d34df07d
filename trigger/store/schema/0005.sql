-- What the builds of a rule came to lately.

CREATE INDEX builds_ended ON builds (rule, ended_at, result, started_at) WHERE ended_at <> 0; -- the newest ends of a rule, and statistics of them
