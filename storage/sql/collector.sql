-- name: keep_collected
-- Everything of one write in one statement: JSON is taken apart by the database, whose time is cheaper than the event
-- loop's. An id that is known stays with the write that brought it; the answer is the places, from 1, of events whose id
-- another write brought. A write that was found never to have come about (`settle_collected`) fails by its key.
WITH this AS (
    INSERT INTO collector_writes (write) VALUES ($1)
), given AS MATERIALIZED (
    SELECT *, timestamptz 'epoch' + t * INTERVAL '1 ms' AS at, nullif("userId", '') AS user_id,
           collector_digest(n, nullif("eventId", '')) AS d
      FROM ROWS FROM (json_to_recordset($2::text::json) AS (
               k smallint, n integer, t bigint, s smallint, "eventId" text, "app" text, "contentId" text, "contentType" text,
               "userId" text, "sessionId" text, "duration" double precision, "ipAddress" text, "deviceType" text,
               "referrer" text, "url" text, "userAgent" text, "country" text, "metadata" json, "metricType" text,
               "targetId" text, "targetType" text)) WITH ORDINALITY
), fresh AS (
    INSERT INTO collector_ids (digest, write, seen_at)
    SELECT d, $1, now() FROM given WHERE d IS NOT NULL ORDER BY d
    ON CONFLICT (digest) DO NOTHING
    RETURNING digest
), kept AS MATERIALIZED (
    SELECT * FROM given WHERE d IS NULL OR d IN (SELECT digest FROM fresh)
), written AS (
    INSERT INTO collector_events (
        at, received_at, duration_s, key_number, kind, status_code, app, user_id, content_type, content_id, metric_type,
        session_id, device_type, ip, country, referrer, url, user_agent, metadata)
    SELECT at, now(), "duration", n, k, s, nullif("app", ''), user_id, coalesce("contentType", "targetType"),
           coalesce("contentId", "targetId"), "metricType", nullif("sessionId", ''), "deviceType", "ipAddress",
           nullif("country", ''), nullif("referrer", ''), nullif("url", ''), nullif("userAgent", ''), "metadata"
      FROM kept
), study AS (
    INSERT INTO collector_study (user_id, content_id, lesson, start_at, end_at)
    SELECT user_id, "contentId", "contentType" = 'video', at - "duration" * INTERVAL '1 second', at
      FROM kept
     WHERE $3 AND k = 0 AND "contentType" IN ('video', 'live') AND user_id IS NOT NULL AND "duration" > 0
       AND at <= now() + INTERVAL '1 minute'
)
SELECT array_agg(ordinality::integer) AS known
  FROM given
 WHERE d IS NOT NULL AND d NOT IN (SELECT digest FROM fresh);

-- name: settle_collected
-- Writes whose answer was lost: those that did not come about are given their row now, and never will. Whoever is still
-- about to write one is waited for.
INSERT INTO collector_writes (write)
SELECT n.write FROM unnest($1::bigint[]) AS n (write) ORDER BY n.write
ON CONFLICT (write) DO NOTHING
RETURNING write;

-- name: collected_by
-- How many of these ids of one key one write brought.
SELECT count(*) AS found
  FROM collector_ids
 WHERE digest IN (SELECT collector_digest($1::integer, n.id) FROM unnest($2::text[]) AS n (id)) AND write = $3;

-- name: begin_collected_reading
-- $1 ms for what follows, planned for what is asked: a plan that fits all filters looks at every row.
SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: collected_views
-- Unique users and percentiles do not add up over steps, and what comes late belongs to steps of the past: so they are
-- worked out from rows, by the index of time or of content. $4 to $6: only these, NULL for all.
SELECT date_bin($3 * INTERVAL '1 second', at, $1) AS step, count(*) AS views, count(DISTINCT user_id) AS users,
       avg(duration_s) AS mean,
       percentile_cont(ARRAY[0.5, 0.95]::double precision[]) WITHIN GROUP (ORDER BY duration_s) AS percentiles
  FROM collector_events
 WHERE at >= $1::timestamptz AND at < $2::timestamptz AND kind <> 2
   AND ($4::text IS NULL OR app = $4)
   AND ($5::text IS NULL OR content_type = $5)
   AND ($6::text IS NULL OR content_id = $6)
 GROUP BY step
 ORDER BY step;

-- name: collected_engagement
-- As `collected_views`; $8 rows are asked for, one more than are told.
SELECT date_bin($3 * INTERVAL '1 second', at, $1) AS step, metric_type, count(*) AS count,
       count(DISTINCT user_id) AS users
  FROM collector_events
 WHERE at >= $1::timestamptz AND at < $2::timestamptz AND kind = 2
   AND ($4::text IS NULL OR metric_type = $4)
   AND ($5::text IS NULL OR app = $5)
   AND ($6::text IS NULL OR content_type = $6)
   AND ($7::text IS NULL OR content_id = $7)
 GROUP BY step, metric_type
 ORDER BY step, metric_type
 LIMIT $8;

-- name: collected_calls
-- As `collected_views`, by what was called, the most called first.
SELECT content_id, count(*) AS count, count(status_code) AS known,
       count(*) FILTER (WHERE status_code >= 500) AS errors,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]::double precision[]) WITHIN GROUP (ORDER BY duration_s) AS percentiles
  FROM collector_events
 WHERE at >= $1::timestamptz AND at < $2::timestamptz AND kind = 1
   AND ($3::text IS NULL OR app = $3)
   AND ($4::text IS NULL OR content_id = $4)
 GROUP BY content_id
 ORDER BY count(*) DESC, content_id
 LIMIT $5;

-- name: drop_collector_chunks
-- Where TimescaleDB keeps events in pieces of a day, those that lie wholly before $1 go as files, and no row by itself:
-- it would have to be unpacked first.
SELECT drop_collector_chunks($1::timestamptz) AS dropped;

-- name: drop_old_events
-- At least $2 of the oldest, and what was at the same instant: rows have no key to name them by.
DELETE FROM collector_events
 WHERE at < $1::timestamptz
   AND at <= coalesce(
       (SELECT at FROM collector_events WHERE at < $1::timestamptz ORDER BY at OFFSET $2::integer - 1 LIMIT 1), $1);

-- name: drop_old_ids
-- The oldest first, by their index.
DELETE FROM collector_ids
 WHERE digest IN (SELECT digest FROM collector_ids WHERE seen_at < $1::timestamptz ORDER BY seen_at LIMIT $2);

-- name: drop_old_writes
-- As `drop_old_ids`.
DELETE FROM collector_writes
 WHERE write IN (SELECT write FROM collector_writes WHERE at < $1::timestamptz ORDER BY at LIMIT $2);

-- name: study_lessons
-- Views of lessons become segments, of a kind of their own: study time unites them with all others of the learner, and
-- figures of contents know nothing of them. The same stretch has the same key.
WITH taken AS (
    DELETE FROM collector_study
     WHERE number IN (
           SELECT number FROM collector_study WHERE lesson ORDER BY number LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING *, round(extract(epoch FROM end_at - start_at) * 1000)::bigint AS wall_ms
)
INSERT INTO study_logs (
    session_id, number, user_id, kind, content_id, start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms,
    rate, rate_ms, visible_ms, verified, offline, open)
SELECT DISTINCT
       'collector-' || collector_digest(0, user_id || ' ' || content_id || ' ' || (start_at AT TIME ZONE 'UTC')::date),
       1 + wall_ms::integer, user_id, 'collector', content_id, start_at, end_at, 0, 0, 1.0::double precision,
       wall_ms::double precision, 0, true, false, false
  FROM taken
ON CONFLICT (session_id, number, start_timestamp) DO NOTHING;

-- name: study_classes
-- Views of classes, with whether anybody knows such a class.
SELECT number, user_id, content_id, start_at, end_at,
       EXISTS (SELECT FROM rooms WHERE room_id = content_id)
       OR EXISTS (SELECT FROM catalog_classes WHERE live_class_id = content_id)
       OR EXISTS (SELECT FROM classes WHERE live_class_id = content_id) AS known
  FROM collector_study
 WHERE NOT lesson
 ORDER BY number
 LIMIT $1;

-- name: study_classes_told
-- They are presence now, or of no class.
DELETE FROM collector_study WHERE number = ANY ($1::bigint[]);

-- name: erase_collected_of
-- What others did to a learner; what the learner did goes by its column (0016_learners.sql).
DELETE FROM collector_events WHERE kind = 2 AND content_type = 'user' AND content_id = $1;
