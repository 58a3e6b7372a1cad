-- What is to be fetched from the conference server, and what came of it (plugnmeet.md, "Recording flow").
--
-- A row is a job and its outcome in one. `pending` waits for `next_at`; `fetching` is in the hands of `owner` until
-- `lease_until`, and anybody's after that, so that a node that died in the middle leaves nothing behind.

CREATE TABLE recordings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),  -- the public one, and the name of its files
    record_id text COLLATE "C" NOT NULL UNIQUE,  -- the conference server's
    room_id text COLLATE "C" NOT NULL,
    sid text COLLATE "C",
    told_mb double precision,  -- its size as the message told
    reported_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'fetching', 'ready', 'failed')),
    reason text,  -- why it failed, or did so at the last attempt
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    fruitless integer NOT NULL DEFAULT 0 CHECK (fruitless >= 0),  -- attempts since the last that brought something
    first_tried_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    owner text COLLATE "C",
    lease_until timestamptz,
    expected_bytes bigint,  -- the whole file's size and version, as its server said when it began to come
    validator text,
    size_bytes bigint CHECK (size_bytes >= 0),  -- from here on: what was found in the file that came
    sha256 text COLLATE "C" CHECK (length(sha256) = 64),
    duration_ms bigint CHECK (duration_ms >= 0),
    tracks json,  -- [{"kind", "codec"}]
    thumbnail boolean NOT NULL DEFAULT false,
    thumbnail_reason text,  -- why there is none
    finished_at timestamptz,
    CHECK (state <> 'ready' OR (size_bytes IS NOT NULL AND sha256 IS NOT NULL)),
    CHECK (state <> 'failed' OR reason IS NOT NULL),
    CHECK ((state = 'fetching') = (owner IS NOT NULL AND lease_until IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX recordings_room ON recordings (room_id, reported_at);
CREATE INDEX recordings_due ON recordings (next_at) WHERE state IN ('pending', 'fetching');

-- Files with figures of a session: polls, raised hands, talk time. Read once, then only remembered.
CREATE TABLE analytics_artifacts (
    artifact_id text COLLATE "C" PRIMARY KEY,
    room_id text COLLATE "C" NOT NULL,
    sid text COLLATE "C",
    older boolean NOT NULL,  -- told as `file_id`, by a server that has no artifacts
    reported_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'fetching', 'ready', 'failed')),
    reason text,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_tried_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    owner text COLLATE "C",
    lease_until timestamptz,
    finished_at timestamptz,
    CHECK (state <> 'failed' OR reason IS NOT NULL),
    CHECK ((state = 'fetching') = (owner IS NOT NULL AND lease_until IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX analytics_artifacts_due ON analytics_artifacts (next_at) WHERE state IN ('pending', 'fetching');
