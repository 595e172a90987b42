-- What an image was drawn with beside its spec: program, files, machine and formats, as a hash. An identical request is
-- answered with an image of the same hash; `repeat_of` says of which job, the first of them all.
ALTER TABLE jobs ADD COLUMN drawn_with TEXT;
ALTER TABLE jobs ADD COLUMN repeat_of INTEGER;
-- Memory of the GPU that other programs had while it was drawn, if more had to be streamed for that.
ALTER TABLE jobs ADD COLUMN taken_mib INTEGER;

CREATE INDEX jobs_seed_of_guild ON jobs (reply_frontend, guild_id, seed) WHERE status = 'done' AND is_private = 0;
CREATE INDEX jobs_repeats ON jobs (repeat_of) WHERE repeat_of IS NOT NULL;
CREATE INDEX jobs_repeats_of_user ON jobs (user_frontend, user_id, queued_at) WHERE repeat_of IS NOT NULL;
