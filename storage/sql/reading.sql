-- name: rooms_page
-- A page of rooms by id, behind $2, in one state or in any.
SELECT room_id, name, product_id, state, scheduled_start, scheduled_end, started_at, ended_at, peak, attended,
       recording, streaming, recording_failure
  FROM rooms
 WHERE ($1::text IS NULL OR state = $1) AND room_id > $2
 ORDER BY room_id
 LIMIT $3;

-- name: room
-- By its key.
SELECT room_id, name, product_id, state, scheduled_start, scheduled_end, started_at, ended_at, peak, attended,
       recording, streaming, recording_failure
  FROM rooms
 WHERE room_id = $1;

-- name: segments_of_learner
-- What a learner watched in a class, over all sessions, in the order of time.
SELECT session_id, user_id, kind, content_id, room_id, number, start_timestamp, end_timestamp, playhead_start_ms,
       playhead_end_ms, rate_ms, visible_ms, rate, verified, offline, open
  FROM study_logs
 WHERE room_id = $1 AND user_id = $2
 ORDER BY start_timestamp, session_id, number;

-- name: presences_of_learner
-- When a learner was in a class; rows may overlap.
SELECT room_id, user_id, number, joined_at, left_at, source, device_id, open, disconnect_reason
  FROM presence_intervals
 WHERE room_id = $1 AND user_id = $2
 ORDER BY number;

-- name: attendance_row
-- By its key.
SELECT room_id, user_id, name, role, first_join, last_leave, presence_ms, late_ms, late, attended,
       camera_ms, microphone_ms, screen_ms, talk_ms, hand_raises, polls_answered, telephone
  FROM attendance
 WHERE room_id = $1 AND user_id = $2;

-- name: rating
-- By its key.
SELECT live_class_id, user_id, stars, comment, rated_at FROM ratings WHERE live_class_id = $1 AND user_id = $2;

-- name: rate
-- Rating twice replaces (learning-api.md, contract 7).
INSERT INTO ratings (live_class_id, user_id, stars, comment, rated_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (live_class_id, user_id) DO UPDATE
   SET stars = excluded.stars, comment = excluded.comment, rated_at = excluded.rated_at;
