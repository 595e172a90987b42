-- A picture may be kept when others of its age are forgotten, or erased with its prompt; people have settings.
-- An erased job is a cancelled one that has run: it still counts toward its day, and no list shows it.

ALTER TABLE jobs ADD COLUMN is_kept   INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1));
ALTER TABLE jobs ADD COLUMN erased_at INTEGER;
-- What a job counts for toward its day: images of the usual size. Those of an earlier release count for one.
ALTER TABLE jobs ADD COLUMN cost      REAL    NOT NULL DEFAULT 1;

DROP INDEX jobs_of_user;
DROP INDEX jobs_of_origin;

CREATE INDEX jobs_of_user ON jobs (user_frontend, user_id, queued_at, status, started_at, cost);
CREATE INDEX jobs_of_origin ON jobs (reply_frontend, reply_origin, queued_at, status, started_at, cost, batch_id);

CREATE INDEX jobs_of_batch ON jobs (batch_id, batch_index) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_kept_of_user ON jobs (user_frontend, user_id) WHERE is_kept = 1;

CREATE TABLE user_settings (
    user_frontend TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    name          TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (user_frontend, user_id, name)
) WITHOUT ROWID;
