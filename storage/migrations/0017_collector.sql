-- The event collector (collector.md), and what write keys need besides.

-- Public, where a client names its project by a number; and a share of nothing is a share.
ALTER TABLE write_keys
    ADD COLUMN number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    DROP CONSTRAINT write_keys_sample_rate_check,
    ADD CONSTRAINT write_keys_sample_rate_check CHECK (sample_rate >= 0 AND sample_rate <= 1);

-- What others say happened. No unique key: in compressed pieces it would have to be looked for in all of them. That an
-- event is kept once is the business of the two tables behind this one.
CREATE TABLE collector_events (
    at timestamptz NOT NULL,  -- as the sender says, else when it was received
    received_at timestamptz NOT NULL,
    duration_s double precision,
    key_number integer NOT NULL,
    kind smallint NOT NULL CHECK (kind IN (0, 1, 2)),  -- a view, a view that is an API call, an engagement
    status_code smallint,  -- of an API call, where it was told
    app text COLLATE "C",
    user_id text COLLATE "C",
    content_type text COLLATE "C",  -- of an engagement: the target's
    content_id text COLLATE "C" NOT NULL,  -- of an engagement: the target's
    metric_type text COLLATE "C",
    session_id text COLLATE "C",
    device_type text COLLATE "C",
    ip text COLLATE "C",
    country text COLLATE "C",
    referrer text,
    url text,
    user_agent text,
    metadata json  -- as it was sent
);

CREATE INDEX collector_events_time ON collector_events (at, kind);
CREATE INDEX collector_events_content ON collector_events (content_id, at) WHERE kind <> 2;
CREATE INDEX collector_events_user ON collector_events (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX collector_events_person ON collector_events (content_id) WHERE kind = 2 AND content_type = 'user';

-- What is kept of an `eventId`: unique per key, of one length, and no word of it.
CREATE FUNCTION collector_digest(key integer, id text) RETURNS uuid IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$
    SELECT encode(substr(sha256(convert_to(key || ' ' || id, 'UTF8')), 1, 16), 'hex')::uuid
$$;

-- By digest, whatever the event's time: known for a month. `write` is the one that kept it.
CREATE TABLE collector_ids (
    digest uuid PRIMARY KEY,
    write bigint NOT NULL,
    seen_at timestamptz NOT NULL
);

CREATE INDEX collector_ids_seen ON collector_ids (seen_at);

-- One row a write, with what it wrote: a write whose answer was lost is known again, or never comes to be.
CREATE TABLE collector_writes (
    write bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX collector_writes_time ON collector_writes (at);

-- Views that count as study time, where the operator says so, until they are told to study time. `lesson`: not a class.
CREATE TABLE collector_study (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    lesson boolean NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL
);

CREATE INDEX collector_study_user ON collector_study (user_id);

-- Pieces of events that lie wholly before a time; NULL where events are not kept in pieces.
CREATE FUNCTION drop_collector_chunks(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN NULL;
    END IF;
    EXECUTE 'SELECT count(*) FROM drop_chunks($1::regclass, older_than => $2)' INTO dropped
        USING 'collector_events', before;
    RETURN dropped;
END
$$;
