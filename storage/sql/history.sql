-- name: begin_import
-- One import at a time writes, so that two cannot wait for each other's rooms; and it may think between its statements.
SELECT pg_advisory_xact_lock(hashtextextended('rollcall: history', 0)),
       set_config('idle_in_transaction_session_timeout', '60s', true);

-- name: foreign_sessions
-- Sessions of this server, which nobody else may add to, and imported ones of another learner.
SELECT t.session_id
  FROM unnest($1::text[], $2::text[]) AS n (session_id, user_id)
  JOIN watch_sessions AS t USING (session_id)
 WHERE t.door <> 'import' OR t.user_id <> n.user_id;

-- name: import_segments
-- By natural keys: told again it changes nothing, told with another end the later telling stays.
INSERT INTO study_logs AS t (
    session_id, number, user_id, kind, content_id, room_id, start_timestamp, end_timestamp, playhead_start_ms,
    playhead_end_ms, rate, rate_ms, visible_ms, offline, verified, open)
SELECT n.*, true, false
  FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
        $8::timestamptz[], $9::bigint[], $10::bigint[], $11::double precision[], $12::double precision[],
        $13::bigint[], $14::boolean[]) AS n
ON CONFLICT (session_id, number, start_timestamp) DO UPDATE
   SET (end_timestamp, playhead_end_ms, rate, rate_ms, visible_ms, offline) =
       (excluded.end_timestamp, excluded.playhead_end_ms, excluded.rate, excluded.rate_ms, excluded.visible_ms,
        excluded.offline)
 WHERE (t.end_timestamp, t.playhead_end_ms, t.rate, t.rate_ms, t.visible_ms, t.offline) IS DISTINCT FROM
       (excluded.end_timestamp, excluded.playhead_end_ms, excluded.rate, excluded.rate_ms, excluded.visible_ms,
        excluded.offline);

-- name: import_sessions
-- A session's figures are those of its segments: worked out anew from all of them, whichever chunk brought which. $3 is
-- the server's completion threshold; a content may have its own.
WITH news AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS n (session_id, device_id)
), pieces AS (
    SELECT s.session_id, min(s.user_id) AS user_id, min(s.kind) AS kind, min(s.content_id) AS content_id,
           min(s.room_id) AS room_id, min(s.start_timestamp) AS started_at, max(s.end_timestamp) AS ended_at,
           (array_agg(s.playhead_end_ms ORDER BY s.end_timestamp DESC, s.number))[1] AS position_ms,
           sum((extract(epoch FROM s.end_timestamp - s.start_timestamp) * 1000)::bigint)::bigint AS watch_ms,
           sum(s.playhead_end_ms - s.playhead_start_ms)::bigint AS content_ms,
           range_agg(int8range(s.playhead_start_ms, s.playhead_end_ms)) AS covered
      FROM news
      JOIN study_logs AS s USING (session_id)
     GROUP BY s.session_id
), figures AS (
    SELECT p.*, c.duration_ms, coalesce(c.completion_threshold, $3::double precision) AS threshold,
           (SELECT coalesce(sum(upper(piece) - lower(piece)), 0)::bigint
              FROM unnest(p.covered * int8multirange(int8range(0, c.duration_ms))) AS piece) AS covered_ms
      FROM pieces AS p
      LEFT JOIN contents AS c ON c.kind = p.kind AND c.content_id = p.content_id
)
INSERT INTO watch_sessions AS t (
    session_id, user_id, kind, content_id, room_id, device_id, door, started_at, ended_at, last_sample_at, last_seq,
    position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage, completed)
SELECT session_id, user_id, kind, content_id, room_id, news.device_id, 'import', started_at, ended_at, ended_at, 0,
       position_ms, duration_ms, watch_ms, content_ms, covered_ms,
       coalesce(floor(least(1.0, covered_ms::double precision / nullif(duration_ms, 0)) * 1000) / 1000, 0),
       coalesce(covered_ms >= threshold * nullif(duration_ms, 0), false)
  FROM figures JOIN news USING (session_id)
ON CONFLICT (session_id) DO UPDATE
   SET (started_at, ended_at, last_sample_at, position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage,
        completed) =
       (excluded.started_at, excluded.ended_at, excluded.last_sample_at, excluded.position_ms, excluded.duration_ms,
        excluded.watch_ms, excluded.content_ms, excluded.covered_ms, excluded.coverage, excluded.completed)
 WHERE t.door = 'import';

-- name: lock_past_rooms
-- Snapshots of these rooms: version 0 of epoch 0 is one of ours that no server has run.
SELECT key, version = 0 AND epoch = 0 AS past, body
  FROM actors
 WHERE kind = 0 AND key = ANY ($1::text[])
 ORDER BY key
   FOR UPDATE;

-- name: past_times
-- What the catalog and the owner of each class say of when it was.
SELECT n.room_id, c.name, coalesce(c.catalog_product_id, k.catalog_product_id), c.start_at, c.end_at,
       coalesce(c.status = 'cancelled', false), k.start_at, k.end_at
  FROM unnest($1::text[]) AS n (room_id)
  LEFT JOIN catalog_classes AS c ON c.live_class_id = n.room_id
  LEFT JOIN classes AS k ON k.live_class_id = n.room_id;

-- name: import_presences
-- By natural keys; of two tellings the longer stays, for a room only ever learns more.
INSERT INTO presence_intervals AS t (
    room_id, user_id, number, joined_at, left_at, source, device_id, open, disconnect_reason)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::boolean[],
    $9::text[])
ON CONFLICT (room_id, user_id, number, joined_at) DO UPDATE
   SET (left_at, disconnect_reason) = (excluded.left_at, excluded.disconnect_reason)
 WHERE t.left_at < excluded.left_at;

-- name: save_past_rooms
-- A server that opened the room meanwhile has raised its version: then it is told instead (`imported_rooms`).
INSERT INTO actors AS a (kind, key, partition, version, epoch, wake_at, body)
SELECT 0, n.key, n.partition, 0, 0, n.wake_at, n.body
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[]) AS n (key, partition, wake_at, body)
ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body, updated_at = now()
 WHERE a.version = 0 AND a.epoch = 0;

-- name: mark_past_rooms_told
-- Their snapshots hold what catalog and owner say: no server needs to bring each of them to life for that.
WITH ends AS (
    UPDATE classes SET room_told = true WHERE live_class_id = ANY ($1::text[]) AND NOT room_told
)
UPDATE catalog_classes SET room_told = true WHERE live_class_id = ANY ($1::text[]) AND NOT room_told;

-- name: expect_imported_rooms
-- Told at once where an actor is known to have run; else looked at again when every actor of now has been written.
INSERT INTO imported_rooms (room_id, due_at)
SELECT n.room_id, now() + make_interval(secs => n.wait_s)
  FROM unnest($1::text[], $2::double precision[]) AS n (room_id, wait_s)
ON CONFLICT (room_id) DO UPDATE SET due_at = excluded.due_at;

-- name: imported_rooms_due
-- The oldest first.
SELECT i.room_id, coalesce(a.version > 0 OR a.epoch > 0, false) AS ran
  FROM imported_rooms AS i
  LEFT JOIN actors AS a ON a.kind = 0 AND a.key = i.room_id
 WHERE i.due_at <= now()
 ORDER BY i.due_at
 LIMIT $1;

-- name: imported_presences
-- A page of what was imported of a class, behind ($2, $3). Numbers of imported rows begin at 2^30.
SELECT user_id, number, joined_at, left_at
  FROM presence_intervals
 WHERE room_id = $1 AND number >= 1073741824 AND (user_id, number) > ($2, $3)
 ORDER BY user_id, number
 LIMIT $4;

-- name: forget_imported_room
-- It has been told, unless more has come meanwhile.
DELETE FROM imported_rooms WHERE room_id = $1 AND due_at <= now();
