-- name: mobile_sessions_page
-- The newest first, behind a place; an index of time has them in this order.
SELECT session_id, project, user_id, user_uuid, started_at, ended_at
  FROM mobile_sessions
 WHERE started_at >= $1 AND started_at < $2 AND (started_at, session_id) < ($3::timestamptz, $4::bigint)
 ORDER BY started_at DESC, session_id DESC LIMIT $5;

-- name: mobile_sessions_of_project
-- As `mobile_sessions_page`, by the index of the project.
SELECT session_id, project, user_id, user_uuid, started_at, ended_at
  FROM mobile_sessions
 WHERE started_at >= $1 AND started_at < $2 AND (started_at, session_id) < ($3::timestamptz, $4::bigint)
   AND project = $6
 ORDER BY started_at DESC, session_id DESC LIMIT $5;

-- name: mobile_sessions_of_user
-- As `mobile_sessions_page`, by the index of the learner; of one project or of all ($7 is null). A learner has few.
SELECT session_id, project, user_id, user_uuid, started_at, ended_at
  FROM mobile_sessions
 WHERE started_at >= $1 AND started_at < $2 AND (started_at, session_id) < ($3::timestamptz, $4::bigint)
   AND user_id = $6 AND ($7::text IS NULL OR project = $7)
 ORDER BY started_at DESC, session_id DESC LIMIT $5;

-- name: mobile_session
-- One by its key, whole.
SELECT session_id, project, user_id, user_uuid, started_at, ended_at,
       user_label, anonymous_label, device::text AS device, undecodable
  FROM mobile_sessions WHERE session_id = $1;

-- name: mobile_messages_page
-- In the order of the key, up to a number and up to a weight: the first always comes, of a heavier one its beginning.
-- What a body weighs is known without unpacking it. `there`: how many there are up to the number.
SELECT at, type, hash, substring(body FROM 1 FOR $6::bigint::integer) AS body, undecodable, weight, there
  FROM (SELECT at, type, hash, body, undecodable, octet_length(body) AS weight, count(*) OVER () AS there,
               sum(octet_length(body)) OVER (ORDER BY at, type, hash) AS together
          FROM (SELECT at, type, hash, body, undecodable
                  FROM mobile_messages
                 WHERE session_id = $1 AND (at, type, hash) > ($2::timestamptz, $3::bigint, $4::bytea)
                 ORDER BY at, type, hash LIMIT $5) AS next) AS weighed
 WHERE together - weight = 0 OR together <= $6::bigint
 ORDER BY at, type, hash;

-- name: mobile_watch_sessions_of
-- Few: one for each lesson that was watched, and for each pause of half an hour.
SELECT watch_session_id FROM mobile_watch_sessions WHERE session_id = $1 ORDER BY watch_session_id LIMIT $2;
