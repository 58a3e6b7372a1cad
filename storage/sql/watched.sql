-- name: covered_before
-- What a learner has watched of a content's latest version, in pieces that never touch; the longest, where there are
-- very many. One row at least where the learner is known: whether it is completed stays, whatever is covered now.
SELECT lower(piece) AS start_ms, upper(piece) AS end_ms, l.completed_at IS NOT NULL AS completed
  FROM engagement_learners l
  LEFT JOIN LATERAL unnest(l.coverage) AS piece ON true
 WHERE l.user_id = $1 AND l.kind = $2 AND l.content_id = $3
   AND l.version = coalesce((SELECT max(version) FROM engagement_versions WHERE kind = $2 AND content_id = $3), 1)
 ORDER BY upper(piece) - lower(piece) DESC
 LIMIT $4;
