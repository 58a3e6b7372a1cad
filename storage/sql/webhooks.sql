-- name: keep_webhook
-- A repeat takes no number (ON CONFLICT alone would), so that numbers measure how many there are. Whoever draws a
-- number that $8 divides removes all that are $7 behind it: a range of the primary key, and nothing at all for others.
WITH put AS (
    INSERT INTO webhooks (id, event, room_id, received_at, why, body)
    SELECT $1, $2, $3, $4::timestamptz, $5, $6::bytea
     WHERE NOT EXISTS (SELECT FROM webhooks WHERE id = $1 AND event = $2)
        ON CONFLICT (id, event) DO NOTHING
    RETURNING seq
)
DELETE FROM webhooks USING put WHERE put.seq % $8::bigint = 0 AND webhooks.seq <= put.seq - $7::bigint;

-- name: put_breakout
-- The same; what is told last of a session holds.
WITH changed AS (
    UPDATE breakouts SET room_id = $2, parent_room_id = $3 WHERE sid = $1 RETURNING sid
), put AS (
    INSERT INTO breakouts (sid, room_id, parent_room_id)
    SELECT $1, $2, $3
     WHERE NOT EXISTS (SELECT FROM changed)
        ON CONFLICT (sid) DO UPDATE SET room_id = EXCLUDED.room_id, parent_room_id = EXCLUDED.parent_room_id
    RETURNING seq
)
DELETE FROM breakouts USING put WHERE put.seq % $5::bigint = 0 AND breakouts.seq <= put.seq - $4::bigint;

-- name: breakout_parent
-- By its key.
SELECT parent_room_id FROM breakouts WHERE sid = $1;
