-- A request may ask for several images at once, and may be made from an earlier job.
-- Each column is NULL if that is not so, and in every row of an earlier release.

ALTER TABLE jobs ADD COLUMN batch_id     TEXT;     -- shared by the images of one request
ALTER TABLE jobs ADD COLUMN batch_index  INTEGER;  -- place in the batch, from 0
ALTER TABLE jobs ADD COLUMN derived_from INTEGER;  -- id of a job; no foreign key, because that job may be pruned first
ALTER TABLE jobs ADD COLUMN derived_by   TEXT;     -- the verb
