-- Images that only their person sees, what moderators decided, what people and channels chose, and what is left of
-- somebody who had everything erased.

ALTER TABLE jobs ADD COLUMN is_private INTEGER NOT NULL DEFAULT 0 CHECK (is_private IN (0, 1));
ALTER TABLE jobs ADD COLUMN is_spoiler INTEGER NOT NULL DEFAULT 0 CHECK (is_spoiler IN (0, 1));
-- Why a moderator removed or cancelled it, "" if they gave no reason; NULL if none had a part in it.
ALTER TABLE jobs ADD COLUMN moderated_reason TEXT;

CREATE INDEX jobs_moderated_of_user ON jobs (user_frontend, user_id, id) WHERE moderated_reason IS NOT NULL;

-- A history is searched by words and days in one index, and by seeds in another, however long it is.
DROP INDEX jobs_done_of_user;
CREATE INDEX jobs_done_of_user ON jobs (user_frontend, user_id, id, prompt, seed, queued_at) WHERE status = 'done';
CREATE INDEX jobs_seed_of_user ON jobs (user_frontend, user_id, seed, id) WHERE status = 'done';
-- The server where a picture was asked for, whose members may post it again.
ALTER TABLE jobs ADD COLUMN guild_id INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(reply_address) THEN json_extract(reply_address, '$.guild_id') END) VIRTUAL;
CREATE INDEX jobs_shared_of_guild ON jobs (reply_frontend, guild_id, id) WHERE status = 'done' AND is_private = 0;

-- `person` is a keyed hash of a person's id (bot/store/pseudonyms.py), so that a bound holds for somebody whose id was
-- erased. The id beside it, NULL after that, is for moderators to read.
CREATE TABLE bans (
    person        TEXT    PRIMARY KEY,
    user_frontend TEXT    NOT NULL,
    user_id       TEXT,
    reason        TEXT    NOT NULL DEFAULT '',
    banned_at     INTEGER NOT NULL,
    until_at      INTEGER  -- NULL: until somebody lifts it
) WITHOUT ROWID;

CREATE TABLE user_quotas (
    person             TEXT PRIMARY KEY,
    user_frontend      TEXT NOT NULL,
    user_id            TEXT,
    max_images_per_day INTEGER NOT NULL
) WITHOUT ROWID;

-- What people drew today who had everything erased since: it still counts, once its job is gone, so that an erasure may
-- be interrupted anywhere. Older rows are deleted.
CREATE TABLE spent (
    job_id      INTEGER PRIMARY KEY,
    person      TEXT    NOT NULL,
    queued_at   INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    cost        REAL    NOT NULL,  -- 0 if it counts toward no day
    ran_s       REAL    NOT NULL
);
CREATE INDEX spent_by_person ON spent (person, queued_at);

-- Who asked to have everything erased, until that is done.
CREATE TABLE erasures (
    user_frontend TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    asked_at      INTEGER NOT NULL,
    PRIMARY KEY (user_frontend, user_id)
) WITHOUT ROWID;

-- Messages of erased jobs that are still to be taken back. They name nobody.
CREATE TABLE retractions (
    frontend TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    address  TEXT    NOT NULL,  -- JSON
    added_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (frontend, key)
) WITHOUT ROWID;
CREATE INDEX retractions_due ON retractions (next_at);

-- All jobs of a person in their order, however they ended: to be exported and erased.
CREATE INDEX jobs_of_user_by_id ON jobs (user_frontend, user_id, id);
-- Which jobs start from the image of another, to be found when that one is erased.
CREATE INDEX jobs_derived_with_source ON jobs (derived_from) WHERE source <> '' AND derived_from IS NOT NULL;

CREATE TABLE blocked_words (
    word          TEXT    PRIMARY KEY,  -- as it was typed
    is_restricted INTEGER NOT NULL CHECK (is_restricted IN (0, 1)),  -- refused only outside age-restricted channels
    added_at      INTEGER NOT NULL
) WITHOUT ROWID;

-- Messages that show an image again, beside the one that its job names: they go with it.
CREATE TABLE copies (
    frontend TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    address  TEXT    NOT NULL,
    job_id   INTEGER NOT NULL,
    PRIMARY KEY (frontend, key)
) WITHOUT ROWID;
CREATE INDEX copies_of_job ON copies (job_id);
CREATE TRIGGER copies_go_with_their_job AFTER DELETE ON jobs BEGIN
    DELETE FROM copies WHERE job_id = OLD.id;
END;

CREATE TABLE presets (
    user_frontend TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    name          TEXT NOT NULL,
    options       TEXT NOT NULL CHECK (json_valid(options)),
    PRIMARY KEY (user_frontend, user_id, name)
) WITHOUT ROWID;

CREATE TABLE channel_settings (
    frontend TEXT NOT NULL,
    channel  TEXT NOT NULL,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (frontend, channel, name)
) WITHOUT ROWID;

-- For `/admin stats`: each holds all that one of its questions needs.
CREATE INDEX jobs_outcomes ON jobs (finished_at, status, queued_at, model, failure_code) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_of_guild ON jobs (reply_frontend, guild_id, finished_at, user_frontend, user_id, ran_s)
    WHERE finished_at IS NOT NULL;
