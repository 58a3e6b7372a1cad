-- Video engagement: what each learner did with each content, and the sums over them that dashboards read.
--
-- `engagement_learners` and `engagement_sessions` are worked out from `watch_sessions` and `study_logs` in the transaction
-- that writes those (storage/engaging.py). Triggers carry every change of theirs into the sums, so that these are right
-- whoever writes: a checkpoint, an import, a learner's erasure.

-- Lengths of a content as the catalog told them: one that differs by more than a second makes a new version, and sessions
-- belong to the version of their start. Contents whose length the catalog does not know have version 1 and no row.
CREATE TABLE engagement_versions (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    since timestamptz NOT NULL,
    duration_ms bigint NOT NULL CHECK (duration_ms > 0),
    PRIMARY KEY (kind, content_id, version)
);

-- Contents whose learners are to be worked out anew: the catalog has other facts. Learners up to `behind` are done.
CREATE TABLE engagement_stale (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    behind text COLLATE "C" NOT NULL DEFAULT '',
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, content_id)
);

CREATE TABLE engagement_learners (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    views integer NOT NULL DEFAULT 0,
    starts integer NOT NULL DEFAULT 0,
    covered_ms bigint NOT NULL DEFAULT 0,
    distinct_ms bigint NOT NULL DEFAULT 0,
    content_ms bigint NOT NULL DEFAULT 0,
    watch_ms bigint NOT NULL DEFAULT 0,
    view_content_ms bigint NOT NULL DEFAULT 0,
    furthest_ms bigint NOT NULL DEFAULT 0,
    position_ms bigint NOT NULL DEFAULT 0,
    exit_ms bigint,
    first_from_ms bigint,
    told_ms bigint,
    completed_at timestamptz,  -- stays, whatever the catalog says later
    open_until timestamptz,
    starter boolean NOT NULL DEFAULT false,
    replayed boolean NOT NULL DEFAULT false,
    coverage int4multirange NOT NULL DEFAULT '{}',
    curve_seconds integer[] NOT NULL DEFAULT '{}',  -- what this row adds to `engagement_curves`
    curve_plays integer[] NOT NULL DEFAULT '{}',
    curve_viewers integer[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, content_id, user_id, version)
) WITH (fillfactor = 80);

CREATE INDEX engagement_learners_user ON engagement_learners (user_id);

CREATE TABLE engagement_totals (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    views bigint NOT NULL DEFAULT 0,
    viewers bigint NOT NULL DEFAULT 0,
    starts bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    replayed bigint NOT NULL DEFAULT 0,
    starters bigint NOT NULL DEFAULT 0,
    completed_starters bigint NOT NULL DEFAULT 0,
    watch_ms bigint NOT NULL DEFAULT 0,
    content_ms bigint NOT NULL DEFAULT 0,
    told_ms bigint,  -- median of the lengths that clients told, where the catalog knows none
    PRIMARY KEY (kind, content_id, version)
) WITH (fillfactor = 50);

-- Differences: a pass adds 1 at the first second whose middle it holds, and takes 1 behind the last. A row a second and
-- not an array a content: a checkpoint that touches 300 contents must not write 300 arrays of an hour.
CREATE TABLE engagement_curves (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    second integer NOT NULL,
    plays integer NOT NULL,
    viewers integer NOT NULL,
    PRIMARY KEY (kind, content_id, version, second)
) WITH (fillfactor = 70);

-- Sessions with a sample, for the admin's dashboard. `day` counts from 1970-01-01 in the server's zone; `before` is the day
-- of the same learner's session on the same content before this one, -1 where there is none: so distinct learners and
-- contents of any run of days are a sum.
CREATE TABLE engagement_sessions (
    kind text COLLATE "C" NOT NULL,
    content_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    day integer NOT NULL,
    before integer NOT NULL,
    known boolean NOT NULL,
    completed boolean NOT NULL,
    replay boolean NOT NULL,
    reached smallint NOT NULL CHECK (reached BETWEEN 0 AND 5),
    PRIMARY KEY (kind, content_id, user_id, session_id)
) WITH (fillfactor = 85);

CREATE INDEX engagement_sessions_user ON engagement_sessions (user_id);
CREATE INDEX engagement_sessions_started ON engagement_sessions (started_at);
CREATE INDEX engagement_sessions_replays ON engagement_sessions (day, user_id) WHERE replay;

CREATE TABLE engagement_days (
    day integer NOT NULL,
    before integer NOT NULL,
    sessions bigint NOT NULL,
    known bigint NOT NULL,
    completed bigint NOT NULL,
    replays bigint NOT NULL,
    reached_25 bigint NOT NULL,
    reached_50 bigint NOT NULL,
    reached_75 bigint NOT NULL,
    reached_90 bigint NOT NULL,
    reached_100 bigint NOT NULL,
    PRIMARY KEY (day, before)
) WITH (fillfactor = 50);

-- A learner's rows of one content, and a content's sessions by their start.
CREATE INDEX study_logs_content ON study_logs (kind, content_id, user_id) WHERE content_id IS NOT NULL;
CREATE INDEX watch_sessions_content ON watch_sessions (kind, content_id, user_id) WHERE content_id IS NOT NULL;
CREATE INDEX watch_sessions_content_start ON watch_sessions (kind, content_id, started_at) WHERE content_id IS NOT NULL;

-- Rows of a statement, the former ones with -1 and the new ones with 1; in one order, so that two writers do not wait for
-- each other. What moves nothing writes nothing.
CREATE FUNCTION engagement_changes(operation text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE operation
        WHEN 'INSERT' THEN 'SELECT 1 AS sign, n.* FROM news AS n'
        WHEN 'DELETE' THEN 'SELECT -1 AS sign, o.* FROM olds AS o'
        ELSE 'SELECT -1 AS sign, o.* FROM olds AS o UNION ALL SELECT 1, n.* FROM news AS n'
    END
$$;

CREATE FUNCTION engagement_sum_learners() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changes text := engagement_changes(TG_OP);
BEGIN
    EXECUTE format($q$
        INSERT INTO engagement_totals AS t (
            kind, content_id, version, views, viewers, starts, completed, replayed, starters, completed_starters,
            watch_ms, content_ms)
        SELECT * FROM (
            SELECT kind, content_id, version, sum(sign * views) AS views, sum(sign * (views > 0)::integer) AS viewers,
                   sum(sign * starts) AS starts,
                   sum(sign * (views > 0 AND completed_at IS NOT NULL)::integer) AS completed,
                   sum(sign * (views > 0 AND replayed)::integer) AS replayed,
                   sum(sign * (views > 0 AND starter)::integer) AS starters,
                   sum(sign * (views > 0 AND starter AND completed_at IS NOT NULL)::integer) AS completed_starters,
                   sum(sign * watch_ms) AS watch_ms, sum(sign * view_content_ms) AS content_ms
              FROM (%s) AS c GROUP BY kind, content_id, version) AS m
         WHERE (views, viewers, starts, completed, replayed, starters, completed_starters, watch_ms, content_ms)
               <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
         ORDER BY kind, content_id, version
        ON CONFLICT (kind, content_id, version) DO UPDATE
           SET (views, viewers, starts, completed, replayed, starters, completed_starters, watch_ms, content_ms) =
               (t.views + excluded.views, t.viewers + excluded.viewers, t.starts + excluded.starts,
                t.completed + excluded.completed, t.replayed + excluded.replayed, t.starters + excluded.starters,
                t.completed_starters + excluded.completed_starters, t.watch_ms + excluded.watch_ms,
                t.content_ms + excluded.content_ms)
    $q$, changes);
    EXECUTE format($q$
        INSERT INTO engagement_curves AS t (kind, content_id, version, second, plays, viewers)
        SELECT * FROM (
            SELECT kind, content_id, version, second, sum(sign * plays) AS plays, sum(sign * viewers) AS viewers
              FROM (%s) AS c, unnest(curve_seconds, curve_plays, curve_viewers) AS p (second, plays, viewers)
             GROUP BY kind, content_id, version, second) AS m
         WHERE (plays, viewers) <> (0, 0)
         ORDER BY kind, content_id, version, second
        ON CONFLICT (kind, content_id, version, second) DO UPDATE
           SET (plays, viewers) = (t.plays + excluded.plays, t.viewers + excluded.viewers)
    $q$, changes);
    IF TG_OP = 'DELETE' THEN
        -- Without that learner the length that clients told may be another.
        INSERT INTO engagement_stale (kind, content_id)
        SELECT DISTINCT o.kind, o.content_id FROM olds AS o JOIN engagement_totals AS t USING (kind, content_id, version)
         WHERE o.told_ms IS NOT NULL AND t.told_ms IS NOT NULL AND NOT EXISTS (
               SELECT FROM engagement_versions AS v WHERE v.kind = o.kind AND v.content_id = o.content_id)
           AND (o.told_ms <> t.told_ms OR EXISTS (
               SELECT FROM engagement_learners AS l
                WHERE l.kind = o.kind AND l.content_id = o.content_id AND l.told_ms <> t.told_ms))
         ORDER BY 1, 2
        ON CONFLICT (kind, content_id) DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER sum_inserted AFTER INSERT ON engagement_learners REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_learners();
CREATE TRIGGER sum_updated AFTER UPDATE ON engagement_learners REFERENCING OLD TABLE AS olds NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_learners();
CREATE TRIGGER sum_deleted AFTER DELETE ON engagement_learners REFERENCING OLD TABLE AS olds
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_learners();

CREATE FUNCTION engagement_sum_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        INSERT INTO engagement_days AS t (
            day, before, sessions, known, completed, replays, reached_25, reached_50, reached_75, reached_90, reached_100)
        SELECT * FROM (
            SELECT day, before, sum(sign) AS sessions, sum(sign * known::integer) AS known,
                   sum(sign * completed::integer) AS completed, sum(sign * replay::integer) AS replays,
                   sum(sign * (reached >= 1)::integer) AS reached_25, sum(sign * (reached >= 2)::integer) AS reached_50,
                   sum(sign * (reached >= 3)::integer) AS reached_75, sum(sign * (reached >= 4)::integer) AS reached_90,
                   sum(sign * (reached >= 5)::integer) AS reached_100
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

CREATE TRIGGER sum_inserted AFTER INSERT ON engagement_sessions REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_sessions();
CREATE TRIGGER sum_updated AFTER UPDATE ON engagement_sessions REFERENCING OLD TABLE AS olds NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_sessions();
CREATE TRIGGER sum_deleted AFTER DELETE ON engagement_sessions REFERENCING OLD TABLE AS olds
    FOR EACH STATEMENT EXECUTE FUNCTION engagement_sum_sessions();

-- The catalog spoke: a version where the length is another, and all that was worked out with the former facts is stale.
CREATE FUNCTION engagement_note_facts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    latest engagement_versions;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.duration_ms, OLD.completion_threshold, OLD.ignore_tail)
            IS NOT DISTINCT FROM (NEW.duration_ms, NEW.completion_threshold, NEW.ignore_tail) THEN
        RETURN NULL;
    END IF;
    IF NEW.duration_ms > 0 THEN
        SELECT * INTO latest FROM engagement_versions
         WHERE kind = NEW.kind AND content_id = NEW.content_id ORDER BY version DESC LIMIT 1;
        IF NOT FOUND THEN
            INSERT INTO engagement_versions VALUES (NEW.kind, NEW.content_id, 1, '-infinity', NEW.duration_ms);
        ELSIF abs(NEW.duration_ms - latest.duration_ms) > 1000 THEN
            INSERT INTO engagement_versions VALUES (
                NEW.kind, NEW.content_id, latest.version + 1,
                greatest(coalesce(NEW.updated_at, now()), latest.since + interval '1 millisecond'), NEW.duration_ms);
        ELSE
            UPDATE engagement_versions SET duration_ms = NEW.duration_ms
             WHERE kind = NEW.kind AND content_id = NEW.content_id AND version = latest.version;
        END IF;
    END IF;
    INSERT INTO engagement_stale (kind, content_id)
    SELECT NEW.kind, NEW.content_id
     WHERE EXISTS (SELECT FROM watch_sessions WHERE kind = NEW.kind AND content_id = NEW.content_id)
    ON CONFLICT (kind, content_id) DO UPDATE SET (behind, noted_at) = ('', clock_timestamp());
    RETURN NULL;
END
$$;

CREATE TRIGGER note_facts AFTER INSERT OR UPDATE ON contents
    FOR EACH ROW EXECUTE FUNCTION engagement_note_facts();

-- What was watched before there were these tables.
INSERT INTO engagement_versions
SELECT kind, content_id, 1, '-infinity', duration_ms FROM contents WHERE duration_ms > 0;
INSERT INTO engagement_stale (kind, content_id)
SELECT DISTINCT kind, content_id FROM watch_sessions WHERE content_id IS NOT NULL;
