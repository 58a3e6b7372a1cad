-- Watch sessions, of recorded lessons (`kind`, `content_id`) and of live classes (`room_id`).
CREATE TABLE watch_sessions (
    session_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C",
    content_id text COLLATE "C",
    room_id text COLLATE "C",
    device_id text COLLATE "C" NOT NULL,
    door text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    last_sample_at timestamptz,
    last_seq bigint NOT NULL CHECK (last_seq >= 0),
    first_seq_at bigint,  -- Unix ms of the client's clock: it tells sessions apart and is no time of ours
    position_ms bigint NOT NULL CHECK (position_ms >= 0),
    duration_ms bigint CHECK (duration_ms >= 0),
    watch_ms bigint NOT NULL CHECK (watch_ms >= 0),
    content_ms bigint NOT NULL CHECK (content_ms >= 0),
    covered_ms bigint NOT NULL CHECK (covered_ms >= 0),
    coverage double precision NOT NULL CHECK (coverage BETWEEN 0 AND 1),
    completed boolean NOT NULL,
    CHECK (ended_at >= started_at),
    CHECK ((room_id IS NULL) = (content_id IS NOT NULL)),
    CHECK ((kind IS NULL) = (content_id IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX watch_sessions_user ON watch_sessions (user_id, started_at);
CREATE INDEX watch_sessions_room ON watch_sessions (room_id, user_id) WHERE room_id IS NOT NULL;
-- A post that names no session looks for the open one of this learner, content and device (realtime.md, reading 4).
CREATE INDEX watch_sessions_open_http ON watch_sessions (user_id, kind, content_id, device_id)
    WHERE ended_at IS NULL AND door = 'http';

-- Stretches played without a jump.
CREATE TABLE study_logs (
    session_id text COLLATE "C" NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C",
    content_id text COLLATE "C",
    room_id text COLLATE "C",
    start_timestamp timestamptz NOT NULL,
    end_timestamp timestamptz NOT NULL,
    playhead_start_ms bigint NOT NULL CHECK (playhead_start_ms >= 0),
    playhead_end_ms bigint NOT NULL,
    rate double precision NOT NULL,  -- at its start
    rate_ms double precision NOT NULL,  -- sum of rate x wall: by the wall, the mean rate
    visible_ms bigint NOT NULL CHECK (visible_ms >= 0),
    verified boolean NOT NULL,
    offline boolean NOT NULL,
    open boolean NOT NULL,  -- still growing at its end
    PRIMARY KEY (session_id, number, start_timestamp),  -- hypertables want the time in every unique key
    CHECK (end_timestamp >= start_timestamp),
    CHECK (playhead_end_ms >= playhead_start_ms)
) WITH (fillfactor = 90);

CREATE INDEX study_logs_user ON study_logs (user_id, start_timestamp);
CREATE INDEX study_logs_room ON study_logs (room_id, user_id) WHERE room_id IS NOT NULL;
