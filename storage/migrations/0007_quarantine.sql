-- Inputs that crashed their actor twice, for a person to look at.
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    reason text NOT NULL,
    event bytea NOT NULL  -- msgpack, as in the journal
);
