-- name: learner_rows
-- Of every table that names learners, as rows of JSON.
SELECT relation, content::text FROM learner_rows($1);

-- name: erase_learner
-- From every table that names learners; triggers carry it into sums.
SELECT relation, gone FROM erase_learner($1) WHERE gone > 0;

-- name: recount_attended
-- Classes that no actor keeps: their figures follow from the attendance that is left.
UPDATE rooms AS t
   SET attended = found.attended
  FROM (SELECT r.room_id,
               (SELECT count(*) FROM attendance AS a
                 WHERE a.room_id = r.room_id AND a.attended AND a.role IN ('learner', 'participant')) AS attended
          FROM rooms AS r
         WHERE r.room_id = ANY ($1::text[])
           AND NOT EXISTS (SELECT FROM actors AS x WHERE x.kind = 0 AND x.key = r.room_id)) AS found
 WHERE t.room_id = found.room_id AND t.attended <> found.attended;

-- name: rooms_of_learner
-- Classes with anything of the learner.
SELECT room_id FROM attendance WHERE user_id = $1
 UNION
SELECT room_id FROM presence_intervals WHERE user_id = $1
 UNION
SELECT room_id FROM watch_sessions WHERE user_id = $1 AND room_id IS NOT NULL;

-- name: snapshots_page
-- All snapshots, a page at a time: what they hold is compressed, so they are searched where they are unpacked.
SELECT kind, key, body FROM actors WHERE (kind, key) > ($1::smallint, $2::text) ORDER BY kind, key LIMIT $3;

-- name: outbox_of_learner
-- Messages that wait to be published and say anything of the learner: an id may be text or a number in JSON.
SELECT o.id, convert_from(o.body, 'UTF8') AS body
  FROM outbox AS o
 WHERE EXISTS (SELECT FROM jsonb_path_query(convert_from(o.body, 'UTF8')::jsonb, 'strict $.**') AS v WHERE v #>> '{}' = $1);

-- name: erase_outbox
-- By their keys; one that was published meanwhile is gone already.
DELETE FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: webhooks_with
-- Raw messages in which these bytes occur at all; whether they mean the learner is seen when they are read.
SELECT seq, body FROM webhooks WHERE seq > $2 AND position(convert_to($1, 'UTF8') in body) > 0 ORDER BY seq LIMIT $3;

-- name: erase_webhooks
-- By their keys.
DELETE FROM webhooks WHERE seq = ANY ($1::bigint[]);

-- name: quarantine_with
-- As `webhooks_with`.
SELECT id, event FROM quarantine WHERE id > $2 AND position(convert_to($1, 'UTF8') in event) > 0 ORDER BY id LIMIT $3;

-- name: erase_quarantine
-- By their keys.
DELETE FROM quarantine WHERE id = ANY ($1::bigint[]);

-- name: ask_of_server
-- Asked again it is one request.
INSERT INTO learner_requests (user_id, what) VALUES ($1, $2)
ON CONFLICT (user_id, what) DO UPDATE SET asked_at = now(), failure = NULL;

-- name: asked_of_server
-- The oldest first.
SELECT user_id, what FROM learner_requests WHERE failure IS NULL ORDER BY asked_at, user_id LIMIT $1;

-- name: request_state
-- No row: it is done.
SELECT failure FROM learner_requests WHERE user_id = $1 AND what = $2;

-- name: request_done
-- Also taken back by the one who asked.
DELETE FROM learner_requests WHERE user_id = $1 AND what = $2;

-- name: request_failed
-- For the one who asked.
UPDATE learner_requests SET failure = $3 WHERE user_id = $1 AND what = $2;

-- name: server_lives
-- Whether a server holds what it holds now, by the database's clock.
SELECT EXISTS (SELECT FROM lease_terms WHERE owner IS NOT NULL AND expires_at > now()) AS lives;
