-- A database of schema version 2, as that release wrote it: jobs in every status, and settings.
BEGIN TRANSACTION;
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
    GENERATED ALWAYS AS (substr(reply_key, 1, instr(reply_key, '-'))) VIRTUAL,  -- when the person was told that a result could not be delivered
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((status IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (status <> 'done' OR image_path IS NOT NULL)
);
INSERT INTO "jobs" VALUES(1,'discord:1001','discord','ann','discord','1001','{"channel_id": 10, "message_id": 1001, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'done',1,0,0,NULL,1800000001,1800000001,1800000002,2.0,0.5,1.0,'1.png',3,'delivered',1,0,NULL);
INSERT INTO "jobs" VALUES(2,'discord:1002','discord','ann','discord','1002','{"channel_id": 10, "message_id": 1002, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a fox <b>in</b> the snow 狐狸", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'done',1,0,0,NULL,1800000002,1800000002,1800000003,2.0,0.5,1.0,'2.png',3,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(3,'discord:1003','discord','ann','discord','1003','{"channel_id": 10, "message_id": 1003, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'done',1,0,0,NULL,1800000003,1800000003,1800000004,2.0,0.5,1.0,'3.png',3,'undeliverable',1,0,NULL);
INSERT INTO "jobs" VALUES(4,'console:0a-0000000000000004','console','browser-1','console','0a-0000000000000004','{"name": "Ann"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "strength": 0.4}','fake',0,'done',1,0,0,NULL,1800000004,1800000004,1800000005,2.0,0.5,1.0,'4.png',3,'delivered',1,0,NULL);
INSERT INTO "jobs" VALUES(5,'console:0a-0000000000000005','console','browser-1','console','0a-0000000000000005','{"name": "Ann"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'failed',1,0,0,'out_of_memory',1800000005,1800000005,1800000005,1.0,NULL,NULL,NULL,NULL,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(6,'discord:1006','discord','ann','discord','1006','{"channel_id": 10, "message_id": 1006, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'failed',1,0,0,'timeout',1800000006,1800000006,1800000006,1.0,NULL,NULL,NULL,NULL,'undeliverable',1,0,1800000006);
INSERT INTO "jobs" VALUES(7,'discord:1007','discord','ann','discord','1007','{"channel_id": 10, "message_id": 1007, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'failed',1,0,0,'newer_release',1800000007,1800000007,1800000007,0.0,NULL,NULL,NULL,NULL,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(8,'discord:1008','discord','ann','discord','1008','{"channel_id": 10, "message_id": 1008, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'failed',1,0,0,'of_a_later_release',1800000008,1800000008,1800000008,0.0,NULL,NULL,NULL,NULL,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(9,'discord:1009','discord','ann','discord','1009','{"channel_id": 10, "message_id": 1009, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'cancelled',0,0,0,NULL,1800000009,NULL,1800000009,0.0,NULL,NULL,NULL,NULL,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(10,'discord:1010','discord','ann','discord','1010','{"channel_id": 10, "message_id": 1010, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'cancelled',1,0,1,NULL,1800000010,1800000010,1800000010,0.5,NULL,NULL,NULL,NULL,'pending',0,0,NULL);
INSERT INTO "jobs" VALUES(11,'discord:1011','discord','ann','discord','1011','{"channel_id": 10, "message_id": 1011, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'cancelled',0,0,0,NULL,1800000011,NULL,1800000011,0.0,NULL,NULL,NULL,NULL,'dropped',0,0,NULL);
INSERT INTO "jobs" VALUES(12,'discord:1012','discord','ann','discord','1012','{"channel_id": 10, "message_id": 1012, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'running',1,0,0,NULL,1800000012,1800000012,NULL,0.0,NULL,NULL,NULL,NULL,'none',0,0,NULL);
INSERT INTO "jobs" VALUES(13,'discord:1013','discord','bob','discord','1013','{"channel_id": 10, "message_id": 1013, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'running',1,0,1,NULL,1800000013,1800000013,NULL,0.0,NULL,NULL,NULL,NULL,'none',0,0,NULL);
INSERT INTO "jobs" VALUES(14,'discord:1014','discord','ann','discord','1014','{"channel_id": 10, "message_id": 1014, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0}','fake',0,'queued',0,0,0,NULL,1800000014,NULL,NULL,0.0,NULL,NULL,NULL,NULL,'none',0,0,NULL);
INSERT INTO "jobs" VALUES(15,'console:0a-000000000000000f','console','browser-2','console','0a-000000000000000f','{"name": "Ann"}','{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5, "cfg_scale": 1.0, "model": "fake", "source": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "strength": 0.5}','fake',0,'queued',0,0,0,NULL,1800000015,NULL,NULL,0.0,NULL,NULL,NULL,NULL,'none',0,0,NULL);
INSERT INTO "jobs" VALUES(16,'discord:1016','discord','bob','discord','1016','{"channel_id": 10, "message_id": 1016, "guild_id": 3, "user_id": 4, "locale": "en-US"}','{"version": 1, "prompt": 5}','fake',0,'queued',0,0,0,NULL,1800000016,NULL,NULL,0.0,NULL,NULL,NULL,NULL,'none',0,0,NULL);
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "settings" VALUES('console.secret','sssssssssssssssssssssssssssssssssssssssssss');
INSERT INTO "settings" VALUES('pause_reason','{"version": 1, "kind": "operator", "text": "a game"}');
CREATE INDEX jobs_unfinished ON jobs (status, id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_by_card ON jobs (reply_frontend, reply_key);
CREATE INDEX jobs_to_deliver ON jobs (next_delivery_at) WHERE delivery = 'pending';
CREATE INDEX jobs_measured ON jobs (model, size_class, finished_at) WHERE status = 'done';
CREATE INDEX jobs_of_user ON jobs (user_frontend, user_id, queued_at, status, started_at);
CREATE INDEX jobs_finished ON jobs (finished_at, user_frontend, user_id, status, ran_s) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_active_of_user ON jobs (user_frontend, user_id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_of_origin ON jobs (reply_frontend, reply_origin, queued_at, status, started_at);
CREATE INDEX jobs_done_of_user ON jobs (user_frontend, user_id, id, prompt, seed) WHERE status = 'done';
CREATE INDEX jobs_failed_of_user ON jobs (user_frontend, user_id, finished_at) WHERE status = 'failed' AND told_at IS NULL;
CREATE INDEX jobs_untold_of_user ON jobs (user_frontend, user_id, id) WHERE delivery = 'undeliverable' AND told_at IS NULL;
CREATE INDEX jobs_of_newer_release ON jobs (finished_at) WHERE failure_code = 'newer_release';
CREATE INDEX jobs_with_source ON jobs (source) WHERE source <> '';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',16);
COMMIT;
PRAGMA user_version = 2;
