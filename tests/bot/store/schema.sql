CREATE TRIGGER copies_go_with_their_job AFTER DELETE ON jobs BEGIN
    DELETE FROM copies WHERE job_id = OLD.id;
END;

CREATE TABLE bans (
    person        TEXT    PRIMARY KEY,
    user_frontend TEXT    NOT NULL,
    user_id       TEXT,
    reason        TEXT    NOT NULL DEFAULT '',
    banned_at     INTEGER NOT NULL,
    until_at      INTEGER  -- NULL: until somebody lifts it
) WITHOUT ROWID;

CREATE TABLE blocked_words (
    word          TEXT    PRIMARY KEY,  -- as it was typed
    is_restricted INTEGER NOT NULL CHECK (is_restricted IN (0, 1)),  -- refused only outside age-restricted channels
    added_at      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE channel_settings (
    frontend TEXT NOT NULL,
    channel  TEXT NOT NULL,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (frontend, channel, name)
) WITHOUT ROWID;

CREATE TABLE copies (
    frontend TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    address  TEXT    NOT NULL,
    job_id   INTEGER NOT NULL,
    PRIMARY KEY (frontend, key)
) WITHOUT ROWID;

CREATE TABLE erasures (
    user_frontend TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    asked_at      INTEGER NOT NULL,
    PRIMARY KEY (user_frontend, user_id)
) WITHOUT ROWID;

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
    told_at             INTEGER, prompt TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.prompt') END) VIRTUAL, seed INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.seed') END) VIRTUAL, source TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.source') END) VIRTUAL, reply_origin TEXT
    GENERATED ALWAYS AS (substr(reply_key, 1, instr(reply_key, '-'))) VIRTUAL, batch_id     TEXT, batch_index  INTEGER, derived_from INTEGER, derived_by   TEXT, is_kept   INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1)), erased_at INTEGER, cost      REAL    NOT NULL DEFAULT 1, is_private INTEGER NOT NULL DEFAULT 0 CHECK (is_private IN (0, 1)), is_spoiler INTEGER NOT NULL DEFAULT 0 CHECK (is_spoiler IN (0, 1)), moderated_reason TEXT, guild_id INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(reply_address) THEN json_extract(reply_address, '$.guild_id') END) VIRTUAL, reference_keys TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.references') END) VIRTUAL, drawn_with TEXT, repeat_of INTEGER, taken_mib INTEGER,  -- when the person was told that a result could not be delivered
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((status IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (status <> 'done' OR image_path IS NOT NULL)
);

CREATE TABLE presets (
    user_frontend TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    name          TEXT NOT NULL,
    options       TEXT NOT NULL CHECK (json_valid(options)),
    PRIMARY KEY (user_frontend, user_id, name)
) WITHOUT ROWID;

CREATE TABLE retractions (
    frontend TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    address  TEXT    NOT NULL,  -- JSON
    added_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (frontend, key)
) WITHOUT ROWID;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE spent (
    job_id      INTEGER PRIMARY KEY,
    person      TEXT    NOT NULL,
    queued_at   INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    cost        REAL    NOT NULL,  -- 0 if it counts toward no day
    ran_s       REAL    NOT NULL
);

CREATE TABLE sqlite_sequence(name,seq);

CREATE TABLE user_quotas (
    person             TEXT PRIMARY KEY,
    user_frontend      TEXT NOT NULL,
    user_id            TEXT,
    max_images_per_day INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE user_settings (
    user_frontend TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    name          TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (user_frontend, user_id, name)
) WITHOUT ROWID;

CREATE INDEX copies_of_job ON copies (job_id);

CREATE INDEX jobs_active_of_user ON jobs (user_frontend, user_id) WHERE status IN ('queued', 'running');

CREATE INDEX jobs_by_card ON jobs (reply_frontend, reply_key);

CREATE INDEX jobs_derived_with_references ON jobs (derived_from)
    WHERE reference_keys <> '' AND derived_from IS NOT NULL;

CREATE INDEX jobs_derived_with_source ON jobs (derived_from) WHERE source <> '' AND derived_from IS NOT NULL;

CREATE INDEX jobs_done_of_user ON jobs (user_frontend, user_id, id, prompt, seed, queued_at) WHERE status = 'done';

CREATE INDEX jobs_failed_of_user ON jobs (user_frontend, user_id, finished_at) WHERE status = 'failed' AND told_at IS NULL;

CREATE INDEX jobs_finished ON jobs (finished_at, user_frontend, user_id, status, ran_s) WHERE finished_at IS NOT NULL;

CREATE INDEX jobs_kept_of_user ON jobs (user_frontend, user_id) WHERE is_kept = 1;

CREATE INDEX jobs_measured ON jobs (model, size_class, finished_at) WHERE status = 'done';

CREATE INDEX jobs_moderated_of_user ON jobs (user_frontend, user_id, id) WHERE moderated_reason IS NOT NULL;

CREATE INDEX jobs_of_batch ON jobs (batch_id, batch_index) WHERE batch_id IS NOT NULL;

CREATE INDEX jobs_of_guild ON jobs (reply_frontend, guild_id, finished_at, user_frontend, user_id, ran_s)
    WHERE finished_at IS NOT NULL;

CREATE INDEX jobs_of_newer_release ON jobs (finished_at) WHERE failure_code = 'newer_release';

CREATE INDEX jobs_of_origin ON jobs (reply_frontend, reply_origin, queued_at, status, started_at, cost, batch_id);

CREATE INDEX jobs_of_user ON jobs (user_frontend, user_id, queued_at, status, started_at, cost);

CREATE INDEX jobs_of_user_by_id ON jobs (user_frontend, user_id, id);

CREATE INDEX jobs_outcomes ON jobs (finished_at, status, queued_at, model, failure_code) WHERE finished_at IS NOT NULL;

CREATE INDEX jobs_repeats ON jobs (repeat_of) WHERE repeat_of IS NOT NULL;

CREATE INDEX jobs_repeats_of_user ON jobs (user_frontend, user_id, queued_at) WHERE repeat_of IS NOT NULL;

CREATE INDEX jobs_seed_of_guild ON jobs (reply_frontend, guild_id, seed) WHERE status = 'done' AND is_private = 0;

CREATE INDEX jobs_seed_of_user ON jobs (user_frontend, user_id, seed, id) WHERE status = 'done';

CREATE INDEX jobs_shared_of_guild ON jobs (reply_frontend, guild_id, id) WHERE status = 'done' AND is_private = 0;

CREATE INDEX jobs_to_deliver ON jobs (next_delivery_at) WHERE delivery = 'pending';

CREATE INDEX jobs_unfinished ON jobs (status, id) WHERE status IN ('queued', 'running');

CREATE INDEX jobs_untold_of_user ON jobs (user_frontend, user_id, id) WHERE delivery = 'undeliverable' AND told_at IS NULL;

CREATE INDEX jobs_with_references ON jobs (reference_keys) WHERE reference_keys <> '';

CREATE INDEX jobs_with_source ON jobs (source) WHERE source <> '';

CREATE INDEX retractions_due ON retractions (next_at);

CREATE INDEX spent_by_person ON spent (person, queued_at);
