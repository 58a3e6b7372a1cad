-- name: save_classes
-- The later message decides; `is_required` has a rule of its own (`require_classes`). Times that change are to be told
-- to the room again.
INSERT INTO classes AS t (
    live_class_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at, duration_s,
    avg_watch_time_s, total_comments, total_doubts, total_doubt_resolved, total_quiz, total_poll, total_participation,
    is_required, required_told_at, told_at)
SELECT live_class_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at, duration_s,
       avg_watch_time_s, total_comments, total_doubts, total_doubt_resolved, total_quiz, total_poll,
       total_participation, coalesce(is_required, true),
       CASE WHEN is_required IS NOT NULL THEN coalesce(told_at, '-infinity') END, told_at
  FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
        $9::double precision[], $10::double precision[], $11::integer[], $12::integer[], $13::integer[],
        $14::integer[], $15::integer[], $16::integer[], $17::boolean[], $18::timestamptz[]) AS n (
        live_class_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at,
        duration_s, avg_watch_time_s, total_comments, total_doubts, total_doubt_resolved, total_quiz, total_poll,
        total_participation, is_required, told_at)
ON CONFLICT (live_class_id) DO UPDATE
   SET (catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at, duration_s,
        avg_watch_time_s, total_comments, total_doubts, total_doubt_resolved, total_quiz, total_poll,
        total_participation, told_at, room_told, updated_at) =
       (excluded.catalog_product_id, excluded.catalog_sku_id, excluded.program_id, excluded.course_id,
        excluded.platform, excluded.start_at, excluded.end_at, excluded.duration_s, excluded.avg_watch_time_s,
        excluded.total_comments, excluded.total_doubts, excluded.total_doubt_resolved, excluded.total_quiz,
        excluded.total_poll, excluded.total_participation, excluded.told_at,
        t.room_told AND (t.start_at, t.end_at) IS NOT DISTINCT FROM (excluded.start_at, excluded.end_at), now())
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity') OR t.end_at IS NULL;

-- name: require_classes
-- The latest message that says it at all decides, whatever else a later one says.
UPDATE classes AS t
   SET (is_required, required_told_at, updated_at) = (n.is_required, coalesce(n.told_at, '-infinity'), now())
  FROM unnest($1::text[], $2::boolean[], $3::timestamptz[]) AS n (live_class_id, is_required, told_at)
 WHERE t.live_class_id = n.live_class_id
   AND (t.required_told_at IS NULL OR coalesce(n.told_at, '-infinity') > t.required_told_at);

-- name: ends_untold
-- Of these classes, those whose end their room has not taken in as it stands here.
SELECT live_class_id, start_at, end_at
  FROM classes
 WHERE live_class_id = ANY ($1::text[]) AND end_at IS NOT NULL AND NOT room_told;

-- name: mark_ends_told
-- Only the end that the room was told: it may have been corrected meanwhile.
UPDATE classes AS t
   SET room_told = true
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS n (live_class_id, start_at, end_at)
 WHERE t.live_class_id = n.live_class_id AND NOT t.room_told
   AND (t.start_at, t.end_at) IS NOT DISTINCT FROM (n.start_at, n.end_at);

-- name: save_quizzes
-- The later message decides; `is_required` has a rule of its own (`require_quizzes`).
INSERT INTO quizzes AS t (
    quiz_id, identification_id, identification_type, catalog_product_id, catalog_sku_id, program_id, course_id,
    platform, modality, total_questions, duration_s, total_marks, offered_at, is_required, required_told_at, told_at)
SELECT quiz_id, identification_id, identification_type, catalog_product_id, catalog_sku_id, program_id, course_id,
       platform, modality, total_questions, duration_s, total_marks, offered_at, coalesce(is_required, true),
       CASE WHEN is_required IS NOT NULL THEN coalesce(told_at, '-infinity') END, told_at
  FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::integer[], $11::double precision[], $12::double precision[], $13::timestamptz[], $14::boolean[],
        $15::timestamptz[]) AS n (
        quiz_id, identification_id, identification_type, catalog_product_id, catalog_sku_id, program_id, course_id,
        platform, modality, total_questions, duration_s, total_marks, offered_at, is_required, told_at)
ON CONFLICT (quiz_id, identification_id) DO UPDATE
   SET (identification_type, catalog_product_id, catalog_sku_id, program_id, course_id, platform, modality,
        total_questions, duration_s, total_marks, offered_at, told_at) =
       (excluded.identification_type, excluded.catalog_product_id, excluded.catalog_sku_id, excluded.program_id,
        excluded.course_id, excluded.platform, excluded.modality, excluded.total_questions, excluded.duration_s,
        excluded.total_marks, excluded.offered_at, excluded.told_at)
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity');

-- name: require_quizzes
-- As `require_classes`.
UPDATE quizzes AS t
   SET (is_required, required_told_at) = (n.is_required, coalesce(n.told_at, '-infinity'))
  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::timestamptz[]) AS n (
        quiz_id, identification_id, is_required, told_at)
 WHERE t.quiz_id = n.quiz_id AND t.identification_id = n.identification_id
   AND (t.required_told_at IS NULL OR coalesce(n.told_at, '-infinity') > t.required_told_at);

-- name: save_exams
-- The later message decides; `is_required` has a rule of its own (`require_exams`).
INSERT INTO exams AS t (
    exam_id, type, day, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at,
    duration_s, total_questions, total_marks, is_required, required_told_at, told_at)
SELECT exam_id, type, day, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at,
       duration_s, total_questions, total_marks, coalesce(is_required, true),
       CASE WHEN is_required IS NOT NULL THEN coalesce(told_at, '-infinity') END, told_at
  FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::timestamptz[], $11::double precision[], $12::integer[], $13::double precision[],
        $14::boolean[], $15::timestamptz[]) AS n (
        exam_id, type, day, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at,
        duration_s, total_questions, total_marks, is_required, told_at)
ON CONFLICT (exam_id) DO UPDATE
   SET (type, day, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at, duration_s,
        total_questions, total_marks, told_at) =
       (excluded.type, excluded.day, excluded.catalog_product_id, excluded.catalog_sku_id, excluded.program_id,
        excluded.course_id, excluded.platform, excluded.start_at, excluded.end_at, excluded.duration_s,
        excluded.total_questions, excluded.total_marks, excluded.told_at)
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity');

-- name: require_exams
-- As `require_classes`.
UPDATE exams AS t
   SET (is_required, required_told_at) = (n.is_required, coalesce(n.told_at, '-infinity'))
  FROM unnest($1::text[], $2::boolean[], $3::timestamptz[]) AS n (exam_id, is_required, told_at)
 WHERE t.exam_id = n.exam_id
   AND (t.required_told_at IS NULL OR coalesce(n.told_at, '-infinity') > t.required_told_at);

-- name: save_exam_sessions
-- The later message decides.
INSERT INTO exam_sessions AS t (
    exam_id, user_id, start_at, catalog_product_id, catalog_sku_id, program_id, course_id, platform, type, time_taken_s,
    total_answers, total_correct_answers, total_questions, total_score, end_at, unique_questions_submitted,
    unique_questions_corrected, told_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::double precision[], $11::integer[], $12::integer[], $13::integer[], $14::double precision[],
    $15::timestamptz[], $16::integer[], $17::integer[], $18::timestamptz[])
ON CONFLICT (exam_id, user_id, start_at) DO UPDATE
   SET (catalog_product_id, catalog_sku_id, program_id, course_id, platform, type, time_taken_s, total_answers,
        total_correct_answers, total_questions, total_score, end_at, unique_questions_submitted,
        unique_questions_corrected, told_at) =
       (excluded.catalog_product_id, excluded.catalog_sku_id, excluded.program_id, excluded.course_id,
        excluded.platform, excluded.type, excluded.time_taken_s, excluded.total_answers,
        excluded.total_correct_answers, excluded.total_questions, excluded.total_score, excluded.end_at,
        excluded.unique_questions_submitted, excluded.unique_questions_corrected, excluded.told_at)
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity');

-- name: save_quiz_responses
-- The latest answer counts; of one answer told twice, the later message.
INSERT INTO quiz_responses AS t (
    user_id, quiz_id, identification_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform, modality,
    is_correct, answered_at, quiz_option_id, time_taken_s, told_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::boolean[], $11::timestamptz[], $12::text[], $13::double precision[], $14::timestamptz[])
ON CONFLICT (user_id, quiz_id, identification_id) DO UPDATE
   SET (catalog_product_id, catalog_sku_id, program_id, course_id, platform, modality, is_correct, answered_at,
        quiz_option_id, time_taken_s, told_at) =
       (excluded.catalog_product_id, excluded.catalog_sku_id, excluded.program_id, excluded.course_id,
        excluded.platform, excluded.modality, excluded.is_correct, excluded.answered_at, excluded.quiz_option_id,
        excluded.time_taken_s, excluded.told_at)
 WHERE (excluded.answered_at, coalesce(excluded.told_at, '-infinity'))
     > (t.answered_at, coalesce(t.told_at, '-infinity'));

-- name: save_told_interactions
-- The later message decides; what a player said of their own (it has a value) is the better account.
INSERT INTO interactions AS t (room_id, user_id, kind, id, at, told_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
ON CONFLICT (room_id, user_id, kind, id) DO UPDATE
   SET (at, told_at) = (excluded.at, excluded.told_at)
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity') AND t.value IS NULL;

-- name: lock_told_segments
-- One writer at a time: of a segment without a clock two receptions differ in their key, and both would stay.
SELECT pg_advisory_xact_lock(hashtextextended('rollcall: segments told by others', 0));

-- name: save_told_segments
-- With a clock the later message decides. Without one the first reception stays, wherever it lies in time.
WITH news AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::boolean[], $11::timestamptz[]) AS n (
        session_id, number, user_id, room_id, start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms,
        wall_ms, clocked, told_at)
)
INSERT INTO study_logs AS t (
    session_id, number, user_id, room_id, start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms, rate,
    rate_ms, visible_ms, verified, offline, open, told_at)
SELECT session_id, number, user_id, room_id, start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms, 1,
       wall_ms, wall_ms, true, false, false, told_at
  FROM news AS n
 WHERE n.clocked
    OR NOT EXISTS (SELECT FROM study_logs AS k WHERE k.session_id = n.session_id AND k.number = n.number)
ON CONFLICT (session_id, number, start_timestamp) DO UPDATE
   SET (end_timestamp, rate_ms, visible_ms, told_at) =
       (excluded.end_timestamp, excluded.rate_ms, excluded.visible_ms, excluded.told_at)
 WHERE excluded.told_at > coalesce(t.told_at, '-infinity')
RETURNING session_id, number, start_timestamp, end_timestamp;

-- name: told_segments
-- Those that were there already, as they are stored.
SELECT t.session_id, t.number, t.start_timestamp, t.end_timestamp
  FROM study_logs AS t JOIN unnest($1::text[], $2::integer[]) AS n (session_id, number) USING (session_id, number);

-- name: save_messages
-- Another node may have recorded it meanwhile.
INSERT INTO amqp_messages (message_id) SELECT * FROM unnest($1::text[]) ON CONFLICT (message_id) DO NOTHING;

-- name: known_messages
-- By their keys.
SELECT message_id FROM amqp_messages WHERE message_id = ANY ($1::text[]);

-- name: trim_messages
-- From the old end only, at most $3 at a time: what is too old by $1 seconds or beyond the newest $2.
DELETE FROM amqp_messages
 WHERE id IN (SELECT id FROM amqp_messages ORDER BY id LIMIT $3)
   AND (seen_at < now() - make_interval(secs => $1) OR id <= (SELECT max(id) FROM amqp_messages) - $2)
RETURNING id;

-- name: class_over
-- By its key.
SELECT live_class_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at, duration_s,
       avg_watch_time_s, total_comments, total_doubts, total_doubt_resolved, total_quiz, total_poll,
       total_participation, is_required
  FROM classes
 WHERE live_class_id = $1 AND end_at IS NOT NULL;

-- name: quizzes_of
-- Those offered in one class, in the order of time.
SELECT quiz_id, identification_id, identification_type, catalog_product_id, catalog_sku_id, program_id, course_id,
       platform, modality, total_questions, duration_s, total_marks, offered_at, is_required
  FROM quizzes
 WHERE identification_id = $1 AND identification_type = $2
 ORDER BY offered_at, quiz_id;

-- name: exam
-- By its key.
SELECT exam_id, type, day, catalog_product_id, catalog_sku_id, program_id, course_id, platform, start_at, end_at,
       duration_s, total_questions, total_marks, is_required
  FROM exams
 WHERE exam_id = $1;

-- name: responses_of
-- A learner's answers of a stretch of time, in its order.
SELECT user_id, quiz_id, identification_id, catalog_product_id, catalog_sku_id, program_id, course_id, platform,
       modality, is_correct, answered_at, quiz_option_id, time_taken_s
  FROM quiz_responses
 WHERE user_id = $1 AND answered_at >= $2 AND answered_at < $3
 ORDER BY answered_at, quiz_id, identification_id;

-- name: exam_sessions_of
-- The exams that a learner finished in a stretch of time, in its order.
SELECT exam_id, user_id, start_at, catalog_product_id, catalog_sku_id, program_id, course_id, platform, type,
       time_taken_s, total_answers, total_correct_answers, total_questions, total_score, end_at,
       unique_questions_submitted, unique_questions_corrected
  FROM exam_sessions
 WHERE user_id = $1 AND end_at >= $2 AND end_at < $3
 ORDER BY end_at, exam_id, start_at;
