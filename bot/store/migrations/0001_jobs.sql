-- The job table is the queue, the history, the rate limits and the outbox.
-- Times (…_at) are Unix seconds UTC, durations (…_s) seconds, sizes (…_bytes) bytes.

CREATE TABLE jobs (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    request_key         TEXT    NOT NULL UNIQUE,  -- one press of a button or command makes one job
    user_frontend       TEXT    NOT NULL,
    user_id             TEXT    NOT NULL,
    reply_frontend      TEXT    NOT NULL,
    reply_key           TEXT    NOT NULL,
    reply_address       TEXT    NOT NULL,
    spec                TEXT    NOT NULL CHECK (json_valid(spec)),
    model               TEXT    NOT NULL,
    size_class          INTEGER NOT NULL,
    status              TEXT    NOT NULL DEFAULT 'queued'
                                CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempts            INTEGER NOT NULL DEFAULT 0,
    interruptions       INTEGER NOT NULL DEFAULT 0,
    is_cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (is_cancel_requested IN (0, 1)),
    failure_code        TEXT,
    queued_at           INTEGER NOT NULL,
    started_at          INTEGER,  -- of the present attempt; NULL again when it went back to the queue
    finished_at         INTEGER,
    ran_s               REAL    NOT NULL DEFAULT 0,  -- GPU seconds of all attempts: what fairness counts
    step_s              REAL,                        -- measured, of a finished picture: what forecasts count
    fixed_s             REAL,
    image_path          TEXT,  -- relative to the image folder
    image_bytes         INTEGER,
    delivery            TEXT    NOT NULL DEFAULT 'none'
                                CHECK (delivery IN ('none', 'pending', 'delivered', 'undeliverable', 'dropped')),
    delivery_attempts   INTEGER NOT NULL DEFAULT 0,
    next_delivery_at    INTEGER NOT NULL DEFAULT 0,
    told_at             INTEGER,  -- when the person was told that a result could not be delivered
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((status IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (status <> 'done' OR image_path IS NOT NULL)
);

CREATE INDEX jobs_unfinished ON jobs (status, id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_of_user ON jobs (user_frontend, user_id, queued_at);
CREATE INDEX jobs_by_card ON jobs (reply_frontend, reply_key);
CREATE INDEX jobs_to_deliver ON jobs (next_delivery_at) WHERE delivery = 'pending';
CREATE INDEX jobs_measured ON jobs (model, size_class, finished_at) WHERE status = 'done';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
