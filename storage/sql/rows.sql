-- name: save_sessions
-- Rows that would not change are left alone, here and below: a repeated checkpoint writes nothing.
INSERT INTO watch_sessions AS t (
    session_id, user_id, kind, content_id, room_id, device_id, door, started_at, ended_at, last_sample_at, last_seq,
    first_seq_at, position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage, completed)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::bigint[], $18::double precision[], $19::boolean[])
ON CONFLICT (session_id) DO UPDATE
   SET (user_id, kind, content_id, room_id, device_id, door, started_at, ended_at, last_sample_at, last_seq,
        first_seq_at, position_ms, duration_ms, watch_ms, content_ms, covered_ms, coverage, completed) =
       (excluded.user_id, excluded.kind, excluded.content_id, excluded.room_id, excluded.device_id, excluded.door,
        excluded.started_at, excluded.ended_at, excluded.last_sample_at, excluded.last_seq, excluded.first_seq_at,
        excluded.position_ms, excluded.duration_ms, excluded.watch_ms, excluded.content_ms, excluded.covered_ms,
        excluded.coverage, excluded.completed)
 WHERE t IS DISTINCT FROM excluded;

-- name: save_segments
-- A segment never changes its start, so its key with the time in it stays the same while it grows. Returned are those of
-- classes that have just become closed ones: others are told of them.
WITH news AS (
    INSERT INTO study_logs AS t (
        session_id, number, user_id, kind, content_id, room_id, start_timestamp, end_timestamp, playhead_start_ms,
        playhead_end_ms, rate, rate_ms, visible_ms, verified, offline, open)
    SELECT * FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
        $8::timestamptz[], $9::bigint[], $10::bigint[], $11::double precision[], $12::double precision[],
        $13::bigint[], $14::boolean[], $15::boolean[], $16::boolean[])
    ON CONFLICT (session_id, number, start_timestamp) DO UPDATE
       SET (user_id, kind, content_id, room_id, end_timestamp, playhead_start_ms, playhead_end_ms, rate, rate_ms,
            visible_ms, verified, offline, open) =
           (excluded.user_id, excluded.kind, excluded.content_id, excluded.room_id, excluded.end_timestamp,
            excluded.playhead_start_ms, excluded.playhead_end_ms, excluded.rate, excluded.rate_ms,
            excluded.visible_ms, excluded.verified, excluded.offline, excluded.open)
     WHERE (t.user_id, t.kind, t.content_id, t.room_id, t.end_timestamp, t.playhead_start_ms, t.playhead_end_ms, t.rate,
            t.rate_ms, t.visible_ms, t.verified, t.offline, t.open) IS DISTINCT FROM
           (excluded.user_id, excluded.kind, excluded.content_id, excluded.room_id, excluded.end_timestamp,
            excluded.playhead_start_ms, excluded.playhead_end_ms, excluded.rate, excluded.rate_ms,
            excluded.visible_ms, excluded.verified, excluded.offline, excluded.open)
    RETURNING session_id, number, start_timestamp, room_id, verified, open
)
SELECT session_id, number FROM news
 WHERE room_id IS NOT NULL AND verified AND NOT open
 ORDER BY start_timestamp, session_id, number;

-- name: drop_redone_segments
-- Samples that came in between others may have made other segments of them (decision 0011). The learner and the time
-- from which on there are any ($7) narrow it, so that a hypertable does not look through years.
DELETE FROM study_logs AS t
 USING unnest($1::text[], $2::text[], $3::integer[]) AS r (session_id, user_id, first)
 WHERE t.session_id = r.session_id AND t.user_id = r.user_id AND t.number >= r.first
   AND t.start_timestamp >= $7::timestamptz
   AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::integer[], $6::timestamptz[]) AS s (session_id, number, at)
                    WHERE s.session_id = t.session_id AND s.number = t.number AND s.at = t.start_timestamp);

-- name: save_presences
-- An open presence may begin earlier than it was written to (samples that were kept offline), and its beginning is part
-- of the key: the row under the former beginning goes. $10 and $11 bound where it can lie, so that a hypertable does not
-- look through years.
WITH news AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
        $8::boolean[], $9::text[])
        AS n (room_id, user_id, number, joined_at, left_at, source, device_id, open, disconnect_reason)
), gone AS (
    DELETE FROM presence_intervals AS t
     USING news AS n
     WHERE t.room_id = n.room_id AND t.user_id = n.user_id AND t.number = n.number AND t.joined_at <> n.joined_at
       AND t.joined_at BETWEEN $10::timestamptz AND $11::timestamptz
)
INSERT INTO presence_intervals AS t (
    room_id, user_id, number, joined_at, left_at, source, device_id, open, disconnect_reason)
SELECT * FROM news
ON CONFLICT (room_id, user_id, number, joined_at) DO UPDATE
   SET (left_at, source, device_id, open, disconnect_reason) =
       (excluded.left_at, excluded.source, excluded.device_id, excluded.open, excluded.disconnect_reason)
 WHERE t IS DISTINCT FROM excluded;

-- name: save_attendances
-- One row a learner and class.
INSERT INTO attendance AS t (
    room_id, user_id, name, role, first_join, last_leave, presence_ms, late_ms, late, attended, camera_ms,
    microphone_ms, screen_ms, talk_ms, hand_raises, polls_answered, telephone)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::bigint[],
    $9::boolean[], $10::boolean[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::integer[],
    $16::integer[], $17::boolean[])
ON CONFLICT (room_id, user_id) DO UPDATE
   SET (name, role, first_join, last_leave, presence_ms, late_ms, late, attended, camera_ms, microphone_ms, screen_ms,
        talk_ms, hand_raises, polls_answered, telephone) =
       (excluded.name, excluded.role, excluded.first_join, excluded.last_leave, excluded.presence_ms,
        excluded.late_ms, excluded.late, excluded.attended, excluded.camera_ms, excluded.microphone_ms,
        excluded.screen_ms, excluded.talk_ms, excluded.hand_raises, excluded.polls_answered, excluded.telephone)
 WHERE t IS DISTINCT FROM excluded;

-- name: save_interactions
-- An answer given again under its id replaces the first.
INSERT INTO interactions AS t (room_id, user_id, kind, id, value, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[], $6::timestamptz[])
ON CONFLICT (room_id, user_id, kind, id) DO UPDATE
   SET (value, at) = (excluded.value, excluded.at)
 WHERE (t.value::text, t.at) IS DISTINCT FROM (excluded.value::text, excluded.at);

-- name: save_rooms
-- One row a class.
INSERT INTO rooms AS t (
    room_id, name, product_id, state, scheduled_start, scheduled_end, started_at, ended_at, peak, attended, recording,
    streaming, recording_failure)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::integer[], $10::integer[], $11::boolean[], $12::boolean[], $13::text[])
ON CONFLICT (room_id) DO UPDATE
   SET (name, product_id, state, scheduled_start, scheduled_end, started_at, ended_at, peak, attended, recording,
        streaming, recording_failure) =
       (excluded.name, excluded.product_id, excluded.state, excluded.scheduled_start, excluded.scheduled_end,
        excluded.started_at, excluded.ended_at, excluded.peak, excluded.attended, excluded.recording,
        excluded.streaming, excluded.recording_failure)
 WHERE (t.name, t.product_id, t.state, t.scheduled_start, t.scheduled_end, t.started_at, t.ended_at, t.peak, t.attended,
        t.recording, t.streaming, t.recording_failure)
       IS DISTINCT FROM
       (excluded.name, excluded.product_id, excluded.state, excluded.scheduled_start, excluded.scheduled_end,
        excluded.started_at, excluded.ended_at, excluded.peak, excluded.attended, excluded.recording,
        excluded.streaming, excluded.recording_failure);
