-- Messages of the conference server that no room took in: unknown, undecodable, jobs, outside the time of their class.
-- Bounded: of what is put in, the newest stay.
CREATE TABLE webhooks (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL,  -- the sender's, or the natural key, or the body's digest
    event text COLLATE "C" NOT NULL,
    room_id text COLLATE "C",
    received_at timestamptz NOT NULL,
    why text NOT NULL,
    body bytea NOT NULL,  -- as it came
    UNIQUE (id, event)
);

-- Sessions that are breakout rooms of a class, for messages that do not say so. Bounded in the same way.
CREATE TABLE breakouts (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    sid text COLLATE "C" PRIMARY KEY,
    room_id text COLLATE "C" NOT NULL,
    parent_room_id text COLLATE "C" NOT NULL
);
CREATE INDEX breakouts_by_seq ON breakouts (seq);
