-- A learner's rights, history from elsewhere, and what grows old.

-- Asked of the running server by a command: `save`, to write what is in memory, or `erase`. The row goes when it is done.
CREATE TABLE learner_requests (
    user_id text COLLATE "C" NOT NULL,
    what text NOT NULL CHECK (what IN ('save', 'erase')),
    asked_at timestamptz NOT NULL DEFAULT now(),
    failure text,  -- of the last attempt
    PRIMARY KEY (user_id, what)
);

-- Rooms whose imported presence their actor may not know: told to it when due, if there is one that ran.
CREATE TABLE imported_rooms (
    room_id text COLLATE "C" PRIMARY KEY,
    due_at timestamptz NOT NULL
);

CREATE INDEX imported_rooms_due ON imported_rooms (due_at);

-- What is older than the retention is looked for by days, and who watched on a day as well. Classes come nearly in the
-- order of time, so that an index by pages is enough; segments need not (an import brings a learner's year at once).
CREATE INDEX study_logs_time ON study_logs (start_timestamp);
CREATE INDEX presence_intervals_time ON presence_intervals USING brin (joined_at);
CREATE INDEX interactions_time ON interactions USING brin (at);

-- Tables are found by their column, so that one that is made later is not forgotten.
CREATE FUNCTION learner_tables() RETURNS SETOF regclass LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass
      FROM pg_class AS c
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
     ORDER BY c.relname
$$;

CREATE FUNCTION learner_rows(learner text) RETURNS TABLE (relation text, content json) LANGUAGE plpgsql STABLE AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN SELECT learner_tables() LOOP
        RETURN QUERY EXECUTE format('SELECT %L::text, row_to_json(t) FROM %s AS t WHERE t.user_id = $1', place, place)
            USING learner;
    END LOOP;
END
$$;

CREATE FUNCTION erase_learner(learner text) RETURNS TABLE (relation text, gone bigint) LANGUAGE plpgsql AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN SELECT learner_tables() LOOP
        EXECUTE format('DELETE FROM %s WHERE user_id = $1', place) USING learner;
        GET DIAGNOSTICS gone = ROW_COUNT;
        relation := place::text;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Pieces of presence that lie wholly before a time; none where there is no TimescaleDB. Segments go row by row: those of
-- lessons that are still watched stay.
CREATE FUNCTION drop_detail_chunks(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN 0;
    END IF;
    EXECUTE 'SELECT count(*) FROM drop_chunks($1::regclass, older_than => $2)' INTO dropped
        USING 'presence_intervals', before;
    RETURN dropped;
END
$$;
