-- Recorded lessons that are known, as far as watch time needs them.
CREATE TABLE contents (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    title text,
    duration_ms bigint CHECK (duration_ms >= 0),
    stub boolean NOT NULL DEFAULT false,  -- made because a player named it (ROLLCALL_UNKNOWN=accept)
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, content_id)
);

-- What learners thought of a class; rating twice replaces.
CREATE TABLE ratings (
    live_class_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    comment text,
    rated_at timestamptz NOT NULL,
    PRIMARY KEY (live_class_id, user_id)
);
