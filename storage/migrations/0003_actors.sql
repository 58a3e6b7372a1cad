-- Checkpoints: each actor as it stood after its input number `version`.
CREATE TABLE actors (
    kind smallint NOT NULL CHECK (kind IN (0, 1)),  -- 0 room, 1 watch session
    key text COLLATE "C" NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    version bigint NOT NULL CHECK (version >= 0),
    epoch bigint NOT NULL,
    wake_at bigint,  -- Unix ms; NULL: never
    -- `wake_at` moves with every checkpoint. An index that named it would have to be written each time as well.
    awake boolean NOT NULL GENERATED ALWAYS AS (wake_at IS NOT NULL) STORED,
    updated_at timestamptz NOT NULL DEFAULT now(),
    body bytea NOT NULL,
    PRIMARY KEY (kind, key)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_threshold = 2000,
    toast.vacuum_truncate = false
);

ALTER TABLE actors ALTER COLUMN body SET STORAGE EXTERNAL;  -- it is compressed already

CREATE INDEX actors_awake ON actors (partition, kind, key) WHERE awake;
