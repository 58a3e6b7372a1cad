-- Live classes: what they were, who was there, and what they did.
CREATE TABLE rooms (
    room_id text COLLATE "C" PRIMARY KEY,
    name text,
    product_id text COLLATE "C",
    state text NOT NULL CHECK (state IN ('scheduled', 'live', 'ended', 'cancelled')),
    scheduled_start timestamptz,  -- foreign facts: not held to an order
    scheduled_end timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    peak integer NOT NULL CHECK (peak >= 0),
    attended integer NOT NULL CHECK (attended >= 0),
    CHECK (ended_at >= started_at)
) WITH (fillfactor = 80);

CREATE INDEX rooms_state ON rooms (state, room_id);

-- A learner's stay. Rows of one learner may overlap: read their union (`range_agg`).
CREATE TABLE presence_intervals (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    joined_at timestamptz NOT NULL,
    left_at timestamptz NOT NULL,
    source text NOT NULL,
    device_id text NOT NULL,
    open boolean NOT NULL,  -- still growing at both ends
    PRIMARY KEY (room_id, user_id, number, joined_at),  -- hypertables want the time in every unique key
    CHECK (left_at >= joined_at)
) WITH (fillfactor = 85);

CREATE INDEX presence_intervals_user ON presence_intervals (user_id, joined_at);

-- The figures of one learner in one class so far.
CREATE TABLE attendance (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    name text,
    role text NOT NULL,
    first_join timestamptz,
    last_leave timestamptz,
    presence_ms bigint NOT NULL CHECK (presence_ms >= 0),
    late_ms bigint NOT NULL CHECK (late_ms >= 0),
    late boolean NOT NULL,
    attended boolean NOT NULL,
    PRIMARY KEY (room_id, user_id),
    CHECK (last_leave >= first_join)
) WITH (fillfactor = 80);

CREATE INDEX attendance_user ON attendance (user_id, room_id);

-- Polls, quizzes, doubts, comments, reactions, raised hands.
CREATE TABLE interactions (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    value json,  -- not jsonb: what the player sent, whatever its numbers and escapes
    at timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id, kind, id)
);
