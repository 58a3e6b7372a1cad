-- name: learner_enrolments
-- By their key's index; ended ones too.
SELECT product_id, enrolled_at, ended_at FROM enrolments WHERE user_id = $1 ORDER BY product_id;

-- name: learner_active_products
-- Products of any presence, segment, answer or exam, at any time; $2 are rooms that memory knows the learner in.
WITH rooms_of AS (
    SELECT unnest($2::text[]) AS room_id
     UNION
    SELECT room_id FROM presence_intervals WHERE user_id = $1
     UNION
    SELECT room_id FROM study_logs WHERE user_id = $1 AND room_id IS NOT NULL
), contents_of AS (
    SELECT DISTINCT kind, content_id FROM study_logs WHERE user_id = $1 AND content_id IS NOT NULL
)
SELECT product_id FROM (
    SELECT coalesce(k.catalog_product_id, c.catalog_product_id, r.product_id) AS product_id
      FROM rooms_of AS o
      LEFT JOIN catalog_classes AS k ON k.live_class_id = o.room_id
      LEFT JOIN classes AS c ON c.live_class_id = o.room_id
      LEFT JOIN rooms AS r ON r.room_id = o.room_id
     UNION
    SELECT c.catalog_product_id FROM contents_of JOIN contents AS c USING (kind, content_id)
     UNION
    SELECT coalesce(k.catalog_product_id, c.catalog_product_id, q.catalog_product_id, z.catalog_product_id)
      FROM quiz_responses AS q
      LEFT JOIN catalog_classes AS k ON k.live_class_id = q.identification_id
      LEFT JOIN classes AS c ON c.live_class_id = q.identification_id
      LEFT JOIN quizzes AS z USING (quiz_id, identification_id)
     WHERE q.user_id = $1
     UNION
    SELECT coalesce(e.catalog_product_id, s.catalog_product_id)
      FROM exam_sessions AS s LEFT JOIN exams AS e USING (exam_id)
     WHERE s.user_id = $1
) AS found
 WHERE product_id IS NOT NULL
 ORDER BY product_id;

-- name: learner_active_in_class
-- Presence, a segment or an answer, each by an index.
SELECT EXISTS (SELECT FROM presence_intervals WHERE room_id = $2 AND user_id = $1)
    OR EXISTS (SELECT FROM study_logs WHERE room_id = $2 AND user_id = $1)
    OR EXISTS (SELECT FROM quiz_responses WHERE identification_id = $2 AND user_id = $1);

-- name: classes_told
-- Classes of these products that begin in [$2, $3), as each teller has them; $4 are named by their ids. The start that
-- counts is the first one known of catalog, time-table and room, so all but the catalog's are looked for more widely.
WITH wanted AS (
    SELECT live_class_id FROM catalog_classes
     WHERE catalog_product_id = ANY ($1::text[]) AND start_at >= $2 AND start_at < $3
     UNION
    SELECT live_class_id FROM classes
     WHERE catalog_product_id = ANY ($1)
       AND (start_at IS NULL OR (start_at >= $2 - INTERVAL '7 days' AND start_at < $3 + INTERVAL '7 days'))
     UNION
    SELECT room_id FROM rooms
     WHERE product_id = ANY ($1) AND product_id IS NOT NULL
       AND coalesce(scheduled_start, started_at) >= $2 - INTERVAL '7 days'
       AND coalesce(scheduled_start, started_at) < $3 + INTERVAL '7 days'
     UNION
    SELECT unnest($4::text[])
)
SELECT w.live_class_id,
       k.live_class_id IS NOT NULL AS in_catalog, k.name, k.catalog_product_id, k.program_id, k.subject, k.start_at,
       k.end_at, k.is_required, k.status = 'cancelled' AS cancelled,
       c.live_class_id IS NOT NULL AS told, c.catalog_product_id, c.program_id, c.start_at, c.end_at, c.is_required,
       c.total_quiz, c.total_poll,
       r.room_id IS NOT NULL AS in_rooms, r.name, r.product_id, r.state, r.scheduled_start, r.scheduled_end,
       r.started_at, r.ended_at
  FROM wanted AS w
  LEFT JOIN catalog_classes AS k ON k.live_class_id = w.live_class_id
  LEFT JOIN classes AS c ON c.live_class_id = w.live_class_id
  LEFT JOIN rooms AS r ON r.room_id = w.live_class_id;

-- name: presences_in_classes
-- One learner in some classes, by the primary key. Numbers from $3 on are no actor's.
SELECT room_id, joined_at, left_at, number >= $3 FROM presence_intervals
 WHERE room_id = ANY ($1::text[]) AND user_id = $2 AND left_at > joined_at;

-- name: presences_in_time
-- One learner in [$2, $3), wherever; nobody stays for thirty days, and the bound lets old chunks alone.
SELECT room_id, joined_at, left_at, number >= $4 FROM presence_intervals
 WHERE user_id = $1 AND joined_at >= $2::timestamptz - INTERVAL '30 days' AND joined_at < $3 AND left_at > $2;

-- name: watched_in_time
-- Wall time of recorded lessons in [$2, $3); a segment has one sitting, never seven days. Of sessions in memory ($4) what
-- is beyond a number ($5) was worked out anew there, and is written with the next checkpoint (decision 0011).
SELECT start_timestamp, end_timestamp FROM study_logs AS t
 WHERE user_id = $1 AND start_timestamp >= $2::timestamptz - INTERVAL '7 days' AND start_timestamp < $3 AND end_timestamp > $2
   AND verified AND content_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::integer[]) AS held (session_id, newest)
                    WHERE held.session_id = t.session_id AND t.number > held.newest);

-- name: contents_offered
-- Published in [$3, $4), or then first watched by the learner: what is older has its first second before $3.
WITH firsts AS (
    SELECT kind, content_id, min(start_timestamp) AS first_at FROM study_logs
     WHERE user_id = $1 AND content_id IS NOT NULL AND verified AND end_timestamp > start_timestamp
       AND start_timestamp < $4
     GROUP BY kind, content_id
)
SELECT c.kind, c.content_id, c.catalog_product_id, c.duration_ms, c.published_at, f.first_at
  FROM contents AS c LEFT JOIN firsts AS f USING (kind, content_id)
 WHERE c.catalog_product_id = ANY ($2::text[]) AND c.published AND c.has_video
   AND ((c.published_at >= $3 AND c.published_at < $4) OR f.first_at >= $3);

-- name: exams_offered
-- Of these products, beginning in [$2, $3).
SELECT exam_id, catalog_product_id, type, start_at, duration_s FROM exams
 WHERE catalog_product_id = ANY ($1::text[]) AND start_at >= $2 AND start_at < $3;

-- name: exams_finished
-- All of one learner: they are few, and one that was offered in a range may be finished at any time.
SELECT exam_id, end_at, time_taken_s FROM exam_sessions WHERE user_id = $1;

-- name: quizzes_elsewhere
-- Of these products in [$2, $3), those of no live class.
SELECT quiz_id, identification_id, catalog_product_id, offered_at FROM quizzes
 WHERE catalog_product_id = ANY ($1::text[]) AND offered_at >= $2 AND offered_at < $3
   AND identification_type <> 'live_class';

-- name: learner_answers
-- Those given in [$2, $3), and those to the quizzes of these classes and identifications, at any time.
SELECT quiz_id, identification_id, is_correct, answered_at FROM quiz_responses
 WHERE user_id = $1 AND answered_at >= $2 AND answered_at < $3
 UNION
SELECT quiz_id, identification_id, is_correct, answered_at FROM quiz_responses
 WHERE user_id = $1 AND identification_id = ANY ($4::text[]);

-- name: learner_polls
-- Polls that one learner answered in these classes.
SELECT room_id, id FROM interactions
 WHERE room_id = ANY ($1::text[]) AND user_id = $2 AND kind = 'poll_response';

-- name: learner_doubts
-- What one learner asked in a class, and whether anybody resolved it.
SELECT d.id,
       EXISTS (SELECT FROM interactions AS r
                WHERE r.room_id = d.room_id AND r.kind = 'doubt_resolved' AND r.id = d.id) AS resolved
  FROM interactions AS d
 WHERE d.room_id = $1 AND d.user_id = $2 AND d.kind = 'doubt_asked'
 ORDER BY d.id;

-- name: offered_in_classes
-- The distinct quizzes and polls known of each class, by whatever tells of them (learning-api.md, readings 9, 10). A
-- quiz has as many rows as learners answered it: from each id the index is asked for the next one.
WITH RECURSIVE wanted AS (
    SELECT DISTINCT unnest($1::text[]) AS room_id
), answered AS (
    SELECT w.room_id, f.quiz_id
      FROM wanted AS w
     CROSS JOIN LATERAL (
        SELECT quiz_id FROM quiz_responses WHERE identification_id = w.room_id ORDER BY quiz_id LIMIT 1) AS f
     UNION ALL
    SELECT a.room_id, f.quiz_id
      FROM answered AS a
     CROSS JOIN LATERAL (
        SELECT quiz_id FROM quiz_responses
         WHERE identification_id = a.room_id AND quiz_id > a.quiz_id ORDER BY quiz_id LIMIT 1) AS f
), told AS (
    SELECT w.room_id, k.kind, f.id
      FROM wanted AS w
     CROSS JOIN (VALUES ('poll_offered'), ('poll_response'), ('quiz_response')) AS k (kind)
     CROSS JOIN LATERAL (
        SELECT id FROM interactions WHERE room_id = w.room_id AND kind = k.kind ORDER BY id LIMIT 1) AS f
     UNION ALL
    SELECT t.room_id, t.kind, f.id
      FROM told AS t
     CROSS JOIN LATERAL (
        SELECT id FROM interactions
         WHERE room_id = t.room_id AND kind = t.kind AND id > t.id ORDER BY id LIMIT 1) AS f
)
SELECT room_id, true AS quiz, quiz_id FROM answered
 UNION
SELECT room_id, kind = 'quiz_response', id FROM told
 UNION
SELECT w.room_id, true, q.quiz_id
  FROM wanted AS w
  JOIN quizzes AS q ON q.identification_id = w.room_id AND q.identification_type = 'live_class';

-- name: product_names
-- By their keys.
SELECT product_id, name FROM products WHERE product_id = ANY ($1::text[]);

-- name: program_name
-- By its key.
SELECT name FROM programs WHERE program_id = $1;
