-- name: has_segments_before
-- Asked of several days to find the oldest: an index by pages knows no minimum.
SELECT EXISTS (SELECT FROM study_logs WHERE start_timestamp < $1 AND NOT open) AS found;

-- name: has_presences_before
-- As `has_segments_before`.
SELECT EXISTS (SELECT FROM presence_intervals WHERE joined_at < $1 AND NOT open) AS found;

-- name: has_interactions_before
-- As `has_segments_before`.
SELECT EXISTS (SELECT FROM interactions WHERE at < $1) AS found;

-- name: drop_old_segments
-- A day at a time, and a bounded number, so that nobody waits for it. What a learner did with a lesson is worked out anew
-- from all of its segments whenever they watch it: those of a lesson that they watched since $3 stay.
DELETE FROM study_logs
 WHERE (session_id, number, start_timestamp) IN (
        SELECT session_id, number, start_timestamp FROM study_logs AS s
         WHERE start_timestamp >= $1 AND start_timestamp < $2 AND NOT open
           AND NOT EXISTS (SELECT FROM watch_sessions AS w
                            WHERE w.kind = s.kind AND w.content_id = s.content_id AND w.user_id = s.user_id
                              AND coalesce(w.last_sample_at, w.started_at) >= $3::timestamptz)
         LIMIT $4);

-- name: drop_old_presences
-- As `drop_old_segments`.
DELETE FROM presence_intervals
 WHERE (room_id, user_id, number, joined_at) IN (
        SELECT room_id, user_id, number, joined_at FROM presence_intervals
         WHERE joined_at >= $1 AND joined_at < $2 AND NOT open LIMIT $3);

-- name: drop_old_interactions
-- As `drop_old_segments`.
DELETE FROM interactions
 WHERE (room_id, user_id, kind, id) IN (
        SELECT room_id, user_id, kind, id FROM interactions WHERE at >= $1 AND at < $2 LIMIT $3);

-- name: drop_old_webhooks
-- They come in the order of time.
DELETE FROM webhooks
 WHERE seq IN (SELECT seq FROM webhooks WHERE received_at < $1 ORDER BY seq LIMIT $2);

-- name: drop_old_quarantine
-- They come in the order of time.
DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE at < $1 ORDER BY id LIMIT $2);

-- name: drop_old_messages
-- They come in the order of time.
DELETE FROM amqp_messages
 WHERE id IN (SELECT id FROM amqp_messages WHERE seen_at < $1 ORDER BY id LIMIT $2);

-- name: drop_detail_chunks
-- Where TimescaleDB keeps presence in pieces, those that lie wholly before $1 go as files.
SELECT drop_detail_chunks($1) AS dropped;
