-- Builds that run pipelines.

ALTER TABLE builds ADD COLUMN action text NOT NULL DEFAULT 'job'; -- job or pipeline: what job_id names. build_no of a pipeline is the id of the run, and seen_no when it was called
ALTER TABLE builds ADD COLUMN queue_id text NOT NULL DEFAULT ''; -- the entry in the queue of the pipeline, '' if it was not queued
ALTER TABLE builds ADD COLUMN ran_commit text NOT NULL DEFAULT ''; -- the commit that the service says it built, '' if it does not
ALTER TABLE builds ADD COLUMN console text NOT NULL DEFAULT ''; -- the address in the console that the service gave, '' if it gave none
ALTER TABLE builds ADD COLUMN waited_at bigint NOT NULL DEFAULT 0; -- when it began to wait for a person at the service, or went on; 0 if it never did
