-- name: take_outbox_turn
-- One publisher at a time in the whole cluster, or the order within a room is gone. The lock lasts as long as the
-- connection; taken again by its holder it is only counted, so each look asks anew and needs no memory of the last.
SELECT pg_try_advisory_lock(7955310921540267125) AS ours;

-- name: release_outbox_turn
-- However often it was counted. The connection is cut after this, and the server would notice that later.
SELECT pg_advisory_unlock_all();

-- name: next_outgoing
-- The oldest events of rooms that nobody works on ($1) and that wait for no second try. Looks at a front of $3 rows, so
-- that a long backlog costs no more than a short one, and takes at most $4 of a room, so that none shuts out the others.
WITH waiting AS (
    SELECT room_id FROM outbox WHERE retry_at > now()
), front AS (
    SELECT id, room_id
      FROM outbox
     WHERE room_id <> ALL ($1::text[]) AND room_id NOT IN (SELECT room_id FROM waiting)
     ORDER BY id
     LIMIT $3
), due AS (
    SELECT id, row_number() OVER (PARTITION BY room_id ORDER BY id) AS place FROM front
)
SELECT o.id, o.room_id, o.event_name, o.exchange, o.routing_key, o.message_id::text, o.body, o.created_at, o.attempts
  FROM due
  JOIN outbox AS o USING (id)
 WHERE due.place <= $4
 ORDER BY o.id
 LIMIT $2;

-- name: forget_outgoing
-- The broker has them. Who else works on them does not matter: they need not be sent again.
DELETE FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: fail_outgoing
-- Only the first of a room is ever tried, so its time to wait is that of the whole room.
UPDATE outbox AS o
   SET attempts = o.attempts + 1, failure = f.reason, retry_at = now() + make_interval(secs => f.wait_s)
  FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS f (id, reason, wait_s)
 WHERE o.id = f.id;

-- name: outbox_state
-- Ids rise with time closely enough: the first is the oldest, without a look at all.
SELECT count(*) AS depth,
       (SELECT greatest(0, extract(epoch FROM clock_timestamp() - created_at))::float8
          FROM outbox ORDER BY id LIMIT 1) AS age_s
  FROM outbox;

-- name: failing_outgoing
-- For people: each of these holds up its room.
SELECT room_id, event_name, attempts, failure, retry_at
  FROM outbox
 WHERE failure IS NOT NULL
 ORDER BY id DESC
 LIMIT $1;

-- name: retry_outgoing
-- Everything is due at once, as if it had never failed; the publisher sees it at its next look.
UPDATE outbox SET attempts = 0, retry_at = NULL WHERE retry_at IS NOT NULL RETURNING id;
