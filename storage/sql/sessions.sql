-- name: session
-- By its key.
SELECT session_id, user_id, kind, content_id, room_id, device_id, door, started_at, ended_at, last_sample_at, last_seq,
       first_seq_at, position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage, completed
  FROM watch_sessions
 WHERE session_id = $1;

-- name: segments_of_session
-- The learner and the times narrow it to a few pieces of a hypertable; by the key alone it would look into each.
SELECT session_id, user_id, kind, content_id, room_id, number, start_timestamp, end_timestamp, playhead_start_ms,
       playhead_end_ms, rate_ms, visible_ms, rate, verified, offline, open
  FROM study_logs
 WHERE session_id = $1 AND user_id = $2 AND start_timestamp BETWEEN $3 AND $4
 ORDER BY number;

-- name: open_session
-- realtime.md, reading 4: what a post without `session_id` continues.
SELECT session_id, user_id, kind, content_id, room_id, device_id, door, started_at, ended_at, last_sample_at, last_seq,
       first_seq_at, position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage, completed
  FROM watch_sessions
 WHERE user_id = $1 AND kind = $2 AND content_id = $3 AND device_id = $4 AND ended_at IS NULL AND door = 'http'
 ORDER BY started_at DESC, session_id DESC
 LIMIT 1;
