-- name: put_into_outbox
-- In the order given: ids rise within the statement, and a room has one writer at a time.
INSERT INTO outbox (room_id, event_name, exchange, routing_key, body)
SELECT n.room_id, n.event_name, n.exchange, n.routing_key, n.body
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
       WITH ORDINALITY AS n (room_id, event_name, exchange, routing_key, body, place)
 ORDER BY n.place;

-- name: tell_ends
-- Each time that a class was over is told once, however often its checkpoint is written.
UPDATE rooms AS t
   SET ends_told = n.number
  FROM unnest($1::text[], $2::integer[]) AS n (room_id, number)
 WHERE t.room_id = n.room_id AND t.ends_told < n.number
RETURNING t.room_id;

-- name: facts_to_tell
-- What the owner of the class said beside what was counted here: the larger is right, since either may miss some.
SELECT r.room_id, c.catalog_product_id, c.catalog_sku_id, c.program_id, c.course_id, c.platform,
       coalesce(c.is_required, true) AS is_required,
       greatest(coalesce(c.total_comments, 0), i.comments)::integer AS total_comments,
       greatest(coalesce(c.total_doubts, 0), i.doubts)::integer AS total_doubts,
       greatest(coalesce(c.total_doubt_resolved, 0), i.resolved)::integer AS total_doubt_resolved,
       greatest(coalesce(c.total_quiz, 0), q.quizzes)::integer AS total_quiz,
       greatest(coalesce(c.total_poll, 0), i.polls)::integer AS total_poll,
       greatest(coalesce(c.total_participation, 0), p.learners)::integer AS total_participation
  FROM unnest($1::text[]) AS r (room_id)
  LEFT JOIN classes AS c ON c.live_class_id = r.room_id
 CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind = 'comment') AS comments,
           count(DISTINCT id) FILTER (WHERE kind = 'doubt_asked') AS doubts,
           count(DISTINCT id) FILTER (WHERE kind = 'doubt_resolved') AS resolved,
           count(DISTINCT id) FILTER (WHERE kind IN ('poll_offered', 'poll_response')) AS polls
      FROM interactions WHERE room_id = r.room_id
 ) AS i
 CROSS JOIN LATERAL (
    SELECT count(*) AS quizzes FROM (
        SELECT quiz_id FROM quizzes WHERE identification_id = r.room_id AND identification_type = 'live_class'
         UNION
        SELECT quiz_id FROM quiz_responses WHERE identification_id = r.room_id
         UNION
        SELECT id FROM interactions WHERE room_id = r.room_id AND kind = 'quiz_response'
    ) AS known
 ) AS q
 CROSS JOIN LATERAL (
    SELECT count(*) AS learners FROM (
        SELECT user_id FROM interactions WHERE room_id = r.room_id AND user_id <> ''
         UNION
        SELECT user_id FROM quiz_responses WHERE identification_id = r.room_id
    ) AS known
 ) AS p;

-- name: forget_members
-- An identity that turned out to be another user's: nothing of it is anybody's.
WITH gone AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS n (room_id, user_id)
), presences AS (
    DELETE FROM presence_intervals AS t USING gone AS n WHERE t.room_id = n.room_id AND t.user_id = n.user_id
)
DELETE FROM attendance AS t USING gone AS n WHERE t.room_id = n.room_id AND t.user_id = n.user_id;
