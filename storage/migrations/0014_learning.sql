-- What the dashboards of learners ask (storage/sql/learning.sql): a learner's classes by product and time, what was
-- offered in a class, and what the learner answered there.
CREATE INDEX rooms_product ON rooms (product_id, (coalesce(scheduled_start, started_at))) WHERE product_id IS NOT NULL;

-- Distinct quizzes of a class in a few steps, however many learners answered; and one learner's answers in it.
CREATE INDEX quiz_responses_quiz ON quiz_responses (identification_id, quiz_id);
DROP INDEX quiz_responses_identification;  -- the one above begins with it
CREATE INDEX quiz_responses_class ON quiz_responses (user_id, identification_id);

-- The same for polls, and for doubts that were resolved.
CREATE INDEX interactions_kind ON interactions (room_id, kind, id);

-- Quizzes that no class offered are few among those that one did.
CREATE INDEX quizzes_elsewhere ON quizzes (catalog_product_id, offered_at) WHERE identification_type <> 'live_class';
