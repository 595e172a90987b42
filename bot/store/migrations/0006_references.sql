-- The images that an edit looks at, as their keys stand in its spec: whose they are is asked like that of `source`.
ALTER TABLE jobs ADD COLUMN reference_keys TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(spec) THEN json_extract(spec, '$.references') END) VIRTUAL;

CREATE INDEX jobs_with_references ON jobs (reference_keys) WHERE reference_keys <> '';
CREATE INDEX jobs_derived_with_references ON jobs (derived_from)
    WHERE reference_keys <> '' AND derived_from IS NOT NULL;
