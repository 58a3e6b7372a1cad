-- App sessions of mobile SDKs, and everything that their batches carried (mobile-ingest.md).

-- A session is one start of an app. `started_at`, `active_at`, `ended_at` are server time: the client's own time plus
-- `clock_offset_ms`, which is fixed at the start. `active_at` and `newest_at` only grow, so a session does too.
CREATE TABLE mobile_sessions (
    session_id bigint PRIMARY KEY,
    project text COLLATE "C" NOT NULL,  -- the write key's name
    user_uuid text COLLATE "C" NOT NULL,  -- the SDK's id of the device
    user_id text COLLATE "C",  -- the learner who is credited; NULL is nobody
    claims jsonb,  -- what that learner's token allowed at the start
    user_label text,  -- what message 94 says; nobody vouches for it
    anonymous_label text,  -- what message 95 says
    started_at timestamptz NOT NULL,
    active_at timestamptz NOT NULL,  -- of the last activity, by its own time
    newest_at timestamptz NOT NULL,  -- of the newest message, activity or not
    alive_at timestamptz NOT NULL,  -- when the last activity was received: by the wall's clock
    ended_at timestamptz,  -- the last activity, once it is over
    closed boolean NOT NULL DEFAULT false,  -- by message 91: activity does not bring it back
    clock_offset_ms bigint NOT NULL,  -- server time = the client's + this
    device jsonb NOT NULL,
    target jsonb,  -- {"content": {"kind", "id"}} or {"room"}: what its samples belong to unless they say so themselves
    undecodable bigint NOT NULL DEFAULT 0 CHECK (undecodable >= 0),
    CHECK (active_at >= started_at AND newest_at >= started_at),
    CHECK (ended_at >= started_at)
) WITH (fillfactor = 80);

-- Lists: newest first, of all, of a project, of a learner.
CREATE INDEX mobile_sessions_time ON mobile_sessions (started_at, session_id);
CREATE INDEX mobile_sessions_user ON mobile_sessions (user_id, started_at, session_id) WHERE user_id IS NOT NULL;
-- Late data looks for the session of its time (reading 6); lists of a project.
CREATE INDEX mobile_sessions_device ON mobile_sessions (project, user_uuid, started_at);
CREATE INDEX mobile_sessions_project ON mobile_sessions (project, started_at, session_id);
-- A learner's rights reach what only says that it is theirs.
CREATE INDEX mobile_sessions_label ON mobile_sessions (user_label) WHERE user_label IS NOT NULL;
-- Silence ends them.
CREATE INDEX mobile_sessions_open ON mobile_sessions (alive_at) WHERE ended_at IS NULL;

-- Every message, also what does not decode. `at` is server time; one whose time is out of all bounds is kept at its
-- session's start, and `told_at` says what its sender said. `hash` tells messages of one type and time apart.
CREATE TABLE mobile_messages (
    session_id bigint NOT NULL REFERENCES mobile_sessions ON DELETE CASCADE,
    at timestamptz NOT NULL,
    type bigint NOT NULL,  -- -1: the rest of a batch in which no message begins
    hash bytea NOT NULL CHECK (octet_length(hash) = 16),
    told_at bigint NOT NULL,  -- Unix ms by the client's clock, as sent
    body bytea NOT NULL,  -- as sent, without its head
    undecodable boolean NOT NULL,
    user_id text COLLATE "C",  -- whom it is credited to: of late data not always the session's learner
    PRIMARY KEY (session_id, at, type, hash)
) WITH (fillfactor = 100);

CREATE INDEX mobile_messages_user ON mobile_messages (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX mobile_messages_time ON mobile_messages USING brin (at);

-- Watch sessions (and a room's sessions) that samples of an app session went to.
CREATE TABLE mobile_watch_sessions (
    session_id bigint NOT NULL REFERENCES mobile_sessions ON DELETE CASCADE,
    watch_session_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (session_id, watch_session_id)
);

CREATE INDEX mobile_watch_sessions_user ON mobile_watch_sessions (user_id);

-- A sample goes to the watch session of its own time (reading 2).
CREATE INDEX watch_sessions_mobile ON watch_sessions (user_id, device_id, started_at) WHERE door = 'mobile';
