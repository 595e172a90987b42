-- Images that only their person sees, what moderators decided, what people and channels chose, and what is left of
-- somebody who had everything erased.

ALTER TABLE jobs ADD COLUMN is_private INTEGER NOT NULL DEFAULT 0 CHECK (is_private IN (0, 1));
ALTER TABLE jobs ADD COLUMN is_spoiler INTEGER NOT NULL DEFAULT 0 CHECK (is_spoiler IN (0, 1));
-- Why a moderator removed or cancelled it, "" if they gave no reason; NULL if none had a part in it.
ALTER TABLE jobs ADD COLUMN moderated_reason TEXT;

CREATE INDEX jobs_moderated_of_user ON jobs (user_frontend, user_id, id) WHERE moderated_reason IS NOT NULL;

-- The server where a picture was asked for, whose members may post it again.
ALTER TABLE jobs ADD COLUMN guild_id INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(reply_address) THEN json_extract(reply_address, '$.guild_id') END) VIRTUAL;

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

-- What was drawn today by people who had everything erased: it still counts. Older rows are deleted.
CREATE TABLE spent (
    person TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    cost   REAL    NOT NULL,
    ran_s  REAL    NOT NULL
);
CREATE INDEX spent_by_person ON spent (person, at);

CREATE TABLE blocked_words (
    word     TEXT PRIMARY KEY,  -- as it was typed
    added_at INTEGER NOT NULL
) WITHOUT ROWID;

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
