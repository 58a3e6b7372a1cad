-- Engagement of a period out of what is kept: where all that a learner did with a content lies in the period, their row
-- says it. NULL: not worked out since there are these columns, or nothing to tell; such a learner's rows are read.
ALTER TABLE engagement_learners
    ADD COLUMN first_start timestamptz,  -- of their sessions with this version
    ADD COLUMN last_start timestamptz,
    ADD COLUMN last_end timestamptz;  -- of their credited segments

-- The end of a content is a checkpoint of its own (video-engagement.md, reading 13): under 10 s of content it comes before
-- nine tenths. `reached` counts the four shares from now on.
ALTER TABLE engagement_sessions ADD COLUMN at_end boolean NOT NULL DEFAULT false;
ALTER TABLE engagement_sessions DISABLE TRIGGER sum_updated;
UPDATE engagement_sessions SET (reached, at_end) = (4, true) WHERE reached = 5;
ALTER TABLE engagement_sessions ENABLE TRIGGER sum_updated;
ALTER TABLE engagement_sessions
    DROP CONSTRAINT engagement_sessions_reached_check,
    ADD CONSTRAINT engagement_sessions_reached_check CHECK (reached BETWEEN 0 AND 4);

CREATE OR REPLACE FUNCTION engagement_sum_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        INSERT INTO engagement_days AS t (
            day, before, sessions, known, completed, replays, reached_25, reached_50, reached_75, reached_90, reached_100)
        SELECT * FROM (
            SELECT day, before, sum(sign) AS sessions, sum(sign * known::integer) AS known,
                   sum(sign * completed::integer) AS completed, sum(sign * replay::integer) AS replays,
                   sum(sign * (reached >= 1)::integer) AS reached_25, sum(sign * (reached >= 2)::integer) AS reached_50,
                   sum(sign * (reached >= 3)::integer) AS reached_75, sum(sign * (reached >= 4)::integer) AS reached_90,
                   sum(sign * at_end::integer) AS reached_100
              FROM (%s) AS c GROUP BY day, before) AS m
         WHERE (sessions, known, completed, replays, reached_25, reached_50, reached_75, reached_90, reached_100)
               <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
         ORDER BY day, before
        ON CONFLICT (day, before) DO UPDATE
           SET (sessions, known, completed, replays, reached_25, reached_50, reached_75, reached_90, reached_100) =
               (t.sessions + excluded.sessions, t.known + excluded.known, t.completed + excluded.completed,
                t.replays + excluded.replays, t.reached_25 + excluded.reached_25, t.reached_50 + excluded.reached_50,
                t.reached_75 + excluded.reached_75, t.reached_90 + excluded.reached_90,
                t.reached_100 + excluded.reached_100)
    $q$, engagement_changes(TG_OP));
    RETURN NULL;
END
$$;

-- On which days each learner had a replay: how many learners had one in a run of days is asked of a row a learner.
CREATE TABLE engagement_replayers (
    user_id text COLLATE "C" PRIMARY KEY,
    days int4multirange NOT NULL
) WITH (fillfactor = 70);

INSERT INTO engagement_replayers
SELECT user_id, range_agg(int4range(day, day + 1)) FROM engagement_sessions WHERE replay GROUP BY user_id;
DROP INDEX engagement_sessions_replays;

-- A day that is new is added. One that a session does not tell any more is looked for anew, when the row is locked: what
-- another transaction told of the same learner is seen then. In one order, as all sums.
CREATE FUNCTION engagement_sum_replayers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former text := CASE TG_OP WHEN 'INSERT' THEN 'SELECT NULL::text, 0 WHERE false'
                              ELSE 'SELECT user_id, day FROM olds WHERE replay' END;
    latter text := CASE TG_OP WHEN 'DELETE' THEN 'SELECT NULL::text, 0 WHERE false'
                              ELSE 'SELECT user_id, day FROM news WHERE replay' END;
    gone text[];
BEGIN
    EXECUTE format($q$
        INSERT INTO engagement_replayers AS t (user_id, days)
        SELECT user_id, range_agg(int4range(day, day + 1))
          FROM (%s EXCEPT %s) AS c (user_id, day)
         GROUP BY user_id ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE SET days = t.days + excluded.days WHERE NOT t.days @> excluded.days
    $q$, latter, former);
    EXECUTE format('SELECT array_agg(DISTINCT user_id) FROM (%s EXCEPT %s) AS c (user_id, day)', former, latter)
       INTO gone;
    IF gone IS NOT NULL THEN
        PERFORM FROM engagement_replayers WHERE user_id = ANY (gone) ORDER BY user_id FOR UPDATE;
        UPDATE engagement_replayers AS t
           SET days = coalesce((SELECT range_agg(int4range(s.day, s.day + 1)) FROM engagement_sessions AS s
                                 WHERE s.user_id = t.user_id AND s.replay), '{}')
         WHERE t.user_id = ANY (gone);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER replayers_inserted AFTER INSERT ON engagement_sessions REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_replayers();
CREATE TRIGGER replayers_updated AFTER UPDATE ON engagement_sessions REFERENCING OLD TABLE AS olds NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_replayers();
CREATE TRIGGER replayers_deleted AFTER DELETE ON engagement_sessions REFERENCING OLD TABLE AS olds
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_replayers();

-- How many watched at once on days that are over, UTC, counted from 1970-01-01: of each quarter of an hour the peak, and
-- learners times milliseconds. NULL: to be counted again, what was told of the day has changed; then `version` is another,
-- and who counted before that does not write.
CREATE TABLE crowd_days (
    day integer PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    touched xid8,  -- by which transaction last: once each is enough
    peaks integer[],
    areas bigint[]
);

-- What is told of a day that is over, by an import or by whoever is late. Of the last 25 hours nothing is kept, so that
-- what players tell costs a comparison. BEFORE: compressed pieces of old hypertables take no other.
CREATE FUNCTION touch_crowd_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first integer := floor(extract(epoch FROM NEW.start_timestamp) / 86400);
    last integer := floor(extract(epoch FROM NEW.end_timestamp) / 86400);
BEGIN
    IF (SELECT count(*) FROM crowd_days
         WHERE day BETWEEN first AND last AND touched = pg_current_xact_id()) <= last - first THEN
        INSERT INTO crowd_days AS t (day, touched)
        SELECT d, pg_current_xact_id() FROM generate_series(first, last) AS d ORDER BY d
        ON CONFLICT (day) DO UPDATE
           SET (version, touched, peaks, areas) = (t.version + 1, excluded.touched, NULL, NULL);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER touch_crowd_days BEFORE INSERT OR UPDATE ON study_logs FOR EACH ROW
    WHEN (NEW.start_timestamp < now() - interval '25 hours' AND NEW.content_id IS NOT NULL AND NEW.verified
          AND NEW.end_timestamp > NEW.start_timestamp)
    EXECUTE FUNCTION touch_crowd_days();

-- A learner's days are other days without them.
CREATE OR REPLACE FUNCTION erase_learner(learner text) RETURNS TABLE (relation text, gone bigint) LANGUAGE plpgsql AS $$
DECLARE
    place regclass;
BEGIN
    INSERT INTO crowd_days AS t (day)
    SELECT DISTINCT d.day
      FROM study_logs AS s,
           generate_series(floor(extract(epoch FROM s.start_timestamp) / 86400)::integer,
                           floor(extract(epoch FROM s.end_timestamp) / 86400)::integer) AS d (day)
     WHERE s.user_id = learner AND s.content_id IS NOT NULL AND s.verified
     ORDER BY d.day
    ON CONFLICT (day) DO UPDATE SET (version, peaks, areas) = (t.version + 1, NULL, NULL);
    FOR place IN SELECT learner_tables() LOOP
        EXECUTE format('DELETE FROM %s WHERE user_id = $1', place) USING learner;
        GET DIAGNOSTICS gone = ROW_COUNT;
        relation := place::text;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Where the last learner who told a length is taken out, nobody's length is left.
CREATE FUNCTION engagement_note_nobody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO engagement_stale (kind, content_id)
    SELECT DISTINCT o.kind, o.content_id FROM olds AS o JOIN engagement_totals AS t USING (kind, content_id, version)
     WHERE t.told_ms IS NOT NULL AND NOT EXISTS (
           SELECT FROM engagement_learners AS l
            WHERE l.kind = o.kind AND l.content_id = o.content_id AND l.told_ms IS NOT NULL)
     ORDER BY 1, 2
    ON CONFLICT (kind, content_id) DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_nobody AFTER DELETE ON engagement_learners REFERENCING OLD TABLE AS olds
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_note_nobody();

-- As before, but no piece goes with a stay in it that is still open, however long ago it began.
CREATE OR REPLACE FUNCTION drop_detail_chunks(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN 0;
    END IF;
    EXECUTE 'SELECT count(*) FROM drop_chunks($1::regclass, older_than => $2)' INTO dropped
        USING 'presence_intervals',
              least(before, (SELECT min(joined_at) FROM presence_intervals WHERE open AND joined_at < before));
    RETURN dropped;
END
$$;

-- With which of an operator's settings it was worked out; one row.
CREATE TABLE engagement_settings (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    threshold double precision NOT NULL,
    zone text NOT NULL
);

-- All of it is worked out anew, in the background: for the new columns, and for contents under 10 s.
INSERT INTO engagement_stale (kind, content_id)
SELECT DISTINCT kind, content_id FROM watch_sessions WHERE content_id IS NOT NULL
ON CONFLICT (kind, content_id) DO UPDATE SET (behind, noted_at) = ('', clock_timestamp());
