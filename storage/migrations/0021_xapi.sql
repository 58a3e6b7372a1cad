-- xAPI statements as they were sent, and the watch sessions that are worked out from them.

-- Of whose learners a key may speak: home pages of accounts, `mailto:` for mailboxes; none: of anybody's.
ALTER TABLE write_keys ADD COLUMN xapi_home_pages text[] NOT NULL DEFAULT '{}';

ALTER TABLE contents ADD COLUMN xapi_id text COLLATE "C";  -- what an owner's statements call this content
CREATE INDEX contents_xapi ON contents (xapi_id) WHERE xapi_id IS NOT NULL;

-- One row for each learner, content and session as the client names it; `session_id` is the watch session that its
-- statements belong to now. One that is full, or whose statements were too old to be kept, is followed by another.
CREATE TABLE xapi_sessions (
    key uuid PRIMARY KEY,  -- a digest of those three, which together may be longer than an index takes
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    statements integer NOT NULL CHECK (statements >= 0),
    claimed_progress double precision,  -- what the client says of it: shown to nobody as ours
    stored_at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX xapi_sessions_session ON xapi_sessions (session_id);
CREATE INDEX xapi_sessions_user ON xapi_sessions (user_id);
CREATE INDEX xapi_sessions_stored ON xapi_sessions (stored_at);

CREATE TABLE xapi_statements (
    statement_id uuid PRIMARY KEY,
    digest bytea NOT NULL CHECK (octet_length(digest) = 16),
    user_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C",  -- none: it is about nothing that is watched
    at timestamptz NOT NULL,
    verb_id text NOT NULL,
    stored_at timestamptz NOT NULL,
    heard bytea,  -- what it says of a video, packed: sessions are worked out from all of theirs
    statement json NOT NULL
);

CREATE INDEX xapi_statements_session ON xapi_statements (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX xapi_statements_user ON xapi_statements (user_id);
CREATE INDEX xapi_statements_stored ON xapi_statements USING brin (stored_at);
