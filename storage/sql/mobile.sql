-- name: mobile_start
-- No row where the id is taken: another one is tried.
INSERT INTO mobile_sessions (
    session_id, project, user_uuid, user_id, claims, started_at, active_at, newest_at, alive_at, clock_offset_ms,
    device, target)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $6, $6, $7, $8, $9::jsonb, $10::jsonb)
ON CONFLICT (session_id) DO NOTHING
RETURNING session_id;

-- name: mobile_app_session
-- Of a token's bearer.
SELECT session_id, project, user_uuid, user_id, claims::text, user_label, started_at, newest_at, clock_offset_ms,
       target::text, lag_ms
  FROM mobile_sessions
 WHERE session_id = $1;

-- name: mobile_sessions_before
-- Where late data may belong: sessions of this device that began by $3, the latest first.
SELECT session_id, project, user_uuid, user_id, claims::text, user_label, started_at, newest_at, clock_offset_ms,
       target::text, lag_ms
  FROM mobile_sessions
 WHERE project = $1 AND user_uuid = $2 AND started_at BETWEEN $4 AND $3
 ORDER BY started_at DESC, session_id DESC
 LIMIT $5;

-- name: mobile_begin_late
-- Sessions that nobody started: late data of a time that belongs to none. In the order of their keys, as all below.
INSERT INTO mobile_sessions (
    session_id, project, user_uuid, user_id, claims, started_at, active_at, newest_at, alive_at, clock_offset_ms,
    device, target, lag_ms)
SELECT id, project, user_uuid, user_id, claims, at, at, at, alive_at, clock_offset, device, target, lag
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[], $7::timestamptz[],
              $8::bigint[], $9::jsonb[], $10::jsonb[], $11::bigint[])
       AS n (id, project, user_uuid, user_id, claims, at, alive_at, clock_offset, device, target, lag)
 ORDER BY id
ON CONFLICT (session_id) DO NOTHING;

-- name: mobile_lock
-- Two batches of one session are counted one after the other; a session that was erased meanwhile takes nothing.
SELECT session_id FROM mobile_sessions WHERE session_id = ANY ($1::bigint[]) ORDER BY session_id FOR UPDATE;

-- name: mobile_write_messages
-- A message that is there already is a repeat. Returned is what is new of it, counted by session.
WITH fresh AS (
    INSERT INTO mobile_messages (session_id, at, type, hash, told_at, body, undecodable, user_id)
    SELECT n.session_id, n.at, n.type, n.hash, n.told_at, n.body, n.undecodable, n.user_id
      FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[], $7::boolean[],
                  $8::text[])
           AS n (session_id, at, type, hash, told_at, body, undecodable, user_id)
      JOIN mobile_sessions AS s USING (session_id)
     ORDER BY n.session_id, n.at, n.type, n.hash
    ON CONFLICT (session_id, at, type, hash) DO NOTHING
    RETURNING session_id, undecodable
)
SELECT session_id, count(*) AS fresh, count(*) FILTER (WHERE undecodable) AS undecodable FROM fresh GROUP BY session_id;

-- name: mobile_go_on
-- A session as its messages tell of it (reading 9): it is over 150 s ($9) of its own stream behind its last activity, or
-- when it says so; activity brings it back unless it said so. Nothing of it goes back in time.
UPDATE mobile_sessions AS t
   SET active_at = n.active,
       newest_at = n.newest,
       alive_at = CASE WHEN n.active > t.active_at THEN greatest(t.alive_at, $8::timestamptz) ELSE t.alive_at END,
       ended_at = CASE WHEN t.closed OR n.closing OR n.newest - n.active > $9::interval THEN n.active
                       WHEN n.active > t.active_at THEN NULL
                       ELSE t.ended_at END,
       closed = t.closed OR n.closing,
       user_label = coalesce(n.user_label, t.user_label),
       anonymous_label = coalesce(n.anonymous_label, t.anonymous_label),
       lag_ms = greatest(t.lag_ms, n.lag),
       undecodable = t.undecodable + n.undecodable
  FROM (SELECT u.session_id, u.user_label, u.anonymous_label, u.closing, u.lag, u.undecodable,
               greatest(s.active_at, u.active_at) AS active, greatest(s.newest_at, u.newest_at) AS newest
          FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::boolean[],
                      $7::bigint[], $10::bigint[])
               AS u (session_id, active_at, newest_at, user_label, anonymous_label, closing, lag, undecodable)
          JOIN mobile_sessions AS s USING (session_id)) AS n
 WHERE t.session_id = n.session_id;

-- name: mobile_watching
-- Which watch sessions an app session's samples went to.
INSERT INTO mobile_watch_sessions (session_id, watch_session_id, user_id)
SELECT n.session_id, n.watch_session_id, n.user_id
  FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (session_id, watch_session_id, user_id)
  JOIN mobile_sessions AS s USING (session_id)
 ORDER BY n.session_id, n.watch_session_id
ON CONFLICT (session_id, watch_session_id) DO NOTHING;

-- name: mobile_end_silent
-- By the wall's clock: nothing active came since $1.
UPDATE mobile_sessions
   SET ended_at = active_at
 WHERE session_id IN (SELECT session_id FROM mobile_sessions
                       WHERE ended_at IS NULL AND alive_at < $1
                       ORDER BY session_id LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: mobile_watched
-- Watch sessions of the mobile door that had samples between $5 and $6; those of a room have its id.
SELECT session_id, started_at, coalesce(last_sample_at, started_at) AS last_at
  FROM watch_sessions
 WHERE user_id = $1 AND device_id = $2 AND door = 'mobile'
   AND (room_id = $3 OR kind = $7 AND content_id = $4)
   AND started_at <= $6 AND coalesce(last_sample_at, started_at) >= $5
 ORDER BY started_at;

-- name: mobile_of_label
-- What app sessions say is a learner's, without anybody who vouches for it, and what they brought.
SELECT 'mobile_sessions' AS relation, row_to_json(s)::text AS content
  FROM mobile_sessions AS s WHERE s.user_label = $1 AND s.user_id IS DISTINCT FROM $1
 UNION ALL
SELECT 'mobile_messages', row_to_json(m)::text
  FROM mobile_messages AS m JOIN mobile_sessions AS s USING (session_id)
 WHERE s.user_label = $1 AND m.user_id IS DISTINCT FROM $1 AND (s.user_id IS NULL OR m.type = 94);

-- name: erase_mobile_anonymous
-- Nobody else's, so it goes with all that it brought.
DELETE FROM mobile_sessions WHERE user_label = $1 AND user_id IS NULL;

-- name: erase_mobile_named
-- Another learner's session, whose messages stay but for those that say the name.
DELETE FROM mobile_messages
 WHERE type = 94 AND session_id IN (SELECT session_id FROM mobile_sessions WHERE user_label = $1);

-- name: erase_mobile_labels
-- As `erase_mobile_named`.
UPDATE mobile_sessions SET user_label = NULL WHERE user_label = $1;

-- name: drop_old_mobile_messages
-- They come nearly in the order of time.
DELETE FROM mobile_messages
 WHERE (session_id, at, type, hash) IN (
        SELECT session_id, at, type, hash FROM mobile_messages WHERE at < $1 LIMIT $2);

-- name: drop_old_mobile_sessions
-- With all that is left of them.
DELETE FROM mobile_sessions
 WHERE session_id IN (SELECT session_id FROM mobile_sessions WHERE newest_at < $1 AND ended_at IS NOT NULL LIMIT $2);
