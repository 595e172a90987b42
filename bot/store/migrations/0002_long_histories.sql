-- Every look at a long history stops after a page: an index for each question that commands, polls and claims ask.
-- The generated columns take no room beside the rows; an index holds what it needs of them.

ALTER TABLE jobs ADD COLUMN prompt TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.prompt') END) VIRTUAL;
ALTER TABLE jobs ADD COLUMN seed INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.seed') END) VIRTUAL;
ALTER TABLE jobs ADD COLUMN source TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.source') END) VIRTUAL;
-- Whoever is behind the card of a page: what stands before the dash of its key.
ALTER TABLE jobs ADD COLUMN reply_origin TEXT
    GENERATED ALWAYS AS (substr(reply_key, 1, instr(reply_key, '-'))) VIRTUAL;

DROP INDEX jobs_of_user;
DROP INDEX jobs_finished;

CREATE INDEX jobs_of_user ON jobs (user_frontend, user_id, queued_at, status, started_at);
CREATE INDEX jobs_finished ON jobs (finished_at, user_frontend, user_id, status, ran_s) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_active_of_user ON jobs (user_frontend, user_id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_of_origin ON jobs (reply_frontend, reply_origin, queued_at, status, started_at);
CREATE INDEX jobs_done_of_user ON jobs (user_frontend, user_id, id, prompt, seed) WHERE status = 'done';
CREATE INDEX jobs_failed_of_user ON jobs (user_frontend, user_id, finished_at) WHERE status = 'failed' AND told_at IS NULL;
CREATE INDEX jobs_untold_of_user ON jobs (user_frontend, user_id, id) WHERE delivery = 'undeliverable' AND told_at IS NULL;
CREATE INDEX jobs_of_newer_release ON jobs (finished_at) WHERE failure_code = 'newer_release';
CREATE INDEX jobs_with_source ON jobs (source) WHERE source <> '';
