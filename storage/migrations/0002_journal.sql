-- Inputs of actors, a batch a row, kept until a checkpoint holds what they did.
CREATE TABLE journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    partitions integer[] NOT NULL,
    epochs bigint[] NOT NULL,
    entries integer NOT NULL CHECK (entries > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    body bytea NOT NULL,
    UNIQUE (owner, number),
    CHECK (cardinality(partitions) = cardinality(epochs))
) WITH (
    -- Bodies up to a page stay in the row: one record in the write-ahead log instead of a record per 2 KB piece.
    toast_tuple_target = 8160,
    -- Every row is deleted within minutes. Dead space must be found soon, and giving pages back would lock writers out.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000,
    vacuum_truncate = false,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 5000,
    toast.vacuum_truncate = false
);

ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL;  -- it is compressed already
