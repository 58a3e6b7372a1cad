-- name: engagement_begin
-- Rows to lock: two checkpoints with sessions of one learner on one content must not each miss the other's. In order, so
-- that they wait for each other and not in a circle.
INSERT INTO engagement_learners (kind, content_id, user_id, version)
SELECT kind, content_id, user_id,
       coalesce((SELECT max(v.version) FROM engagement_versions AS v
                  WHERE v.kind = p.kind AND v.content_id = p.content_id), 1)
  FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
 WHERE NOT EXISTS (SELECT FROM engagement_learners AS l
                    WHERE l.kind = p.kind AND l.content_id = p.content_id AND l.user_id = p.user_id)
 ORDER BY kind, content_id, user_id
ON CONFLICT (kind, content_id, user_id, version) DO NOTHING;

-- name: engagement_lock
-- As `engagement_begin`; and what was completed stays completed.
SELECT l.kind, l.content_id, l.user_id, l.version, l.completed_at, l.told_ms
  FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
  JOIN engagement_learners AS l USING (kind, content_id, user_id)
 ORDER BY l.kind, l.content_id, l.user_id, l.version
   FOR UPDATE OF l;

-- name: engagement_facts
-- One row a version; a content whose length the catalog does not know has version 1, and the clients' median.
SELECT p.kind, p.content_id, coalesce(v.version, 1) AS version, v.since, v.duration_ms, t.told_ms,
       c.completion_threshold, coalesce(c.ignore_tail, false) AS ignore_tail
  FROM unnest($1::text[], $2::text[]) AS p (kind, content_id)
  LEFT JOIN contents AS c ON c.kind = p.kind AND c.content_id = p.content_id
  LEFT JOIN engagement_versions AS v ON v.kind = p.kind AND v.content_id = p.content_id
  LEFT JOIN engagement_totals AS t ON t.kind = p.kind AND t.content_id = p.content_id AND t.version = 1
 ORDER BY p.kind, p.content_id, version;

-- name: engagement_sittings
-- All sessions of some learners on some contents, by the index on them.
SELECT s.kind, s.content_id, s.user_id, s.session_id, s.started_at, s.ended_at, s.last_sample_at, s.position_ms,
       s.duration_ms, CASE WHEN s.door = 'xapi' THEN s.covered_ms END AS told_ms
  FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
  JOIN watch_sessions AS s USING (kind, content_id, user_id);

-- name: engagement_credited
-- Their segments that count.
SELECT s.kind, s.content_id, s.user_id, s.session_id, s.number, s.start_timestamp, s.end_timestamp,
       s.playhead_start_ms, s.playhead_end_ms
  FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
  JOIN study_logs AS s USING (kind, content_id, user_id)
 WHERE s.verified;

-- name: engagement_thinned
-- Sessions with more watch time than their segments have: some were too old to be kept. A checkpoint writes both at once.
-- Those that others told (xAPI) have no watch time, and their content time says it.
SELECT s.kind, s.content_id, s.user_id, s.session_id, s.watch_ms - g.watch_ms AS missing_ms, l.coverage
  FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
  JOIN watch_sessions AS s USING (kind, content_id, user_id)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(extract(epoch FROM end_timestamp - start_timestamp) * 1000), 0)::bigint AS watch_ms,
              coalesce(sum(least(playhead_end_ms, s.duration_ms) - least(playhead_start_ms, s.duration_ms)), 0)
                  AS content_ms
         FROM study_logs AS g
        WHERE g.kind = s.kind AND g.content_id = s.content_id AND g.user_id = s.user_id
          AND g.session_id = s.session_id AND g.verified) AS g
 CROSS JOIN LATERAL (
       SELECT range_agg(r) AS coverage
         FROM engagement_learners AS e, unnest(e.coverage) AS r
        WHERE e.kind = s.kind AND e.content_id = s.content_id AND e.user_id = s.user_id
          AND e.version = coalesce((SELECT max(v.version) FROM engagement_versions AS v
                                     WHERE v.kind = s.kind AND v.content_id = s.content_id AND v.since <= s.started_at), 1)
       ) AS l
 WHERE s.watch_ms > g.watch_ms OR (s.door = 'xapi' AND s.content_ms > g.content_ms);

-- name: engagement_write
-- Rows that would not change are left alone: a repeated checkpoint moves no sum. Lists come as text: an array of arrays
-- would have to be a rectangle.
INSERT INTO engagement_learners AS t (
    kind, content_id, user_id, version, views, starts, covered_ms, distinct_ms, content_ms, watch_ms, view_content_ms,
    furthest_ms, position_ms, exit_ms, first_from_ms, told_ms, completed_at, open_until, starter, replayed, coverage,
    curve_seconds, curve_plays, curve_viewers, first_start, last_start, last_end)
SELECT kind, content_id, user_id, version, views, starts, covered_ms, distinct_ms, content_ms, watch_ms,
       view_content_ms, furthest_ms, position_ms, exit_ms, first_from_ms, told_ms, completed_at, open_until, starter,
       replayed, coverage::int4multirange, curve_seconds::integer[], curve_plays::integer[], curve_viewers::integer[],
       first_start, last_start, last_end
  FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::timestamptz[], $18::timestamptz[], $19::boolean[], $20::boolean[], $21::text[], $22::text[],
    $23::text[], $24::text[], $25::timestamptz[], $26::timestamptz[], $27::timestamptz[])
    AS n (kind, content_id, user_id, version, views, starts, covered_ms, distinct_ms, content_ms, watch_ms,
          view_content_ms, furthest_ms, position_ms, exit_ms, first_from_ms, told_ms, completed_at, open_until, starter,
          replayed, coverage, curve_seconds, curve_plays, curve_viewers, first_start, last_start, last_end)
ON CONFLICT (kind, content_id, user_id, version) DO UPDATE
   SET (views, starts, covered_ms, distinct_ms, content_ms, watch_ms, view_content_ms, furthest_ms, position_ms,
        exit_ms, first_from_ms, told_ms, completed_at, open_until, starter, replayed, coverage, curve_seconds,
        curve_plays, curve_viewers, first_start, last_start, last_end) =
       (excluded.views, excluded.starts, excluded.covered_ms, excluded.distinct_ms, excluded.content_ms,
        excluded.watch_ms, excluded.view_content_ms, excluded.furthest_ms, excluded.position_ms, excluded.exit_ms,
        excluded.first_from_ms, excluded.told_ms, excluded.completed_at, excluded.open_until, excluded.starter,
        excluded.replayed, excluded.coverage, excluded.curve_seconds, excluded.curve_plays, excluded.curve_viewers,
        excluded.first_start, excluded.last_start, excluded.last_end)
 WHERE t IS DISTINCT FROM excluded;

-- name: engagement_write_sessions
-- As `engagement_write`.
INSERT INTO engagement_sessions AS t (
    kind, content_id, user_id, session_id, started_at, day, before, known, completed, replay, reached, at_end)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::integer[], $7::integer[], $8::boolean[],
    $9::boolean[], $10::boolean[], $11::smallint[], $12::boolean[])
ON CONFLICT (kind, content_id, user_id, session_id) DO UPDATE
   SET (started_at, day, before, known, completed, replay, reached, at_end) =
       (excluded.started_at, excluded.day, excluded.before, excluded.known, excluded.completed, excluded.replay,
        excluded.reached, excluded.at_end)
 WHERE t IS DISTINCT FROM excluded;

-- name: engagement_forget
-- Learners of whom there is no session on the content any more.
WITH p AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS p (kind, content_id, user_id)
), sessions AS (
    DELETE FROM engagement_sessions AS s USING p
     WHERE s.kind = p.kind AND s.content_id = p.content_id AND s.user_id = p.user_id
)
DELETE FROM engagement_learners AS l USING p
 WHERE l.kind = p.kind AND l.content_id = p.content_id AND l.user_id = p.user_id;

-- name: engagement_lock_totals
-- Before the median is asked for, and not with it: who waited here then sees the learners of whom it waited for.
INSERT INTO engagement_totals AS t (kind, content_id, version) VALUES ($1, $2, 1)
ON CONFLICT (kind, content_id, version) DO UPDATE SET views = t.views
RETURNING told_ms;

-- name: engagement_median
-- What clients told of a content's length, the middle of it.
SELECT floor(percentile_cont(0.5) WITHIN GROUP (ORDER BY told_ms))::bigint AS median
  FROM engagement_learners
 WHERE kind = $1 AND content_id = $2 AND version = 1;

-- name: engagement_relength
-- Who began at the beginning, and who watched again, by another length; rules as in actors/figures/watched.py.
UPDATE engagement_learners
   SET starter = first_from_ms < 30000 AND ($3::bigint = 0 OR first_from_ms * 20 < $3),
       replayed = greatest(content_ms - distinct_ms, 0) >= 5000 AND greatest(content_ms - distinct_ms, 0) * 100 >= $3
 WHERE kind = $1 AND content_id = $2 AND version = 1 AND first_from_ms IS NOT NULL
   AND (starter, replayed) IS DISTINCT FROM
       (first_from_ms < 30000 AND ($3::bigint = 0 OR first_from_ms * 20 < $3),
        greatest(content_ms - distinct_ms, 0) >= 5000 AND greatest(content_ms - distinct_ms, 0) * 100 >= $3);

-- name: engagement_set_median
-- Kept for all who ask.
UPDATE engagement_totals SET told_ms = $3 WHERE kind = $1 AND content_id = $2 AND version = 1;

-- name: engagement_stale_next
-- One that nobody else works on, and that checkpoints which read the former facts are done with.
SELECT kind, content_id, behind, noted_at FROM engagement_stale
 WHERE noted_at < clock_timestamp() - make_interval(secs => $1)
 ORDER BY noted_at, kind, content_id
 LIMIT 1
   FOR UPDATE SKIP LOCKED;

-- name: engagement_stale_learners
-- The next learners of a stale content.
SELECT DISTINCT user_id FROM watch_sessions
 WHERE kind = $1 AND content_id = $2 AND user_id > $3
 ORDER BY user_id
 LIMIT $4;

-- name: engagement_stale_behind
-- So far everything is worked out.
UPDATE engagement_stale SET behind = $3 WHERE kind = $1 AND content_id = $2;

-- name: engagement_stale_done
-- All of it is; a content that the catalog spoke of meanwhile waits for this transaction and is noted again.
DELETE FROM engagement_stale WHERE kind = $1 AND content_id = $2;

-- name: engagement_settings_changed
-- With others than before all is to be worked out anew; at the first start nothing was worked out with others.
WITH former AS (
    SELECT threshold, zone FROM engagement_settings
)
INSERT INTO engagement_settings AS t (threshold, zone) VALUES ($1, $2)
ON CONFLICT (single) DO UPDATE SET (threshold, zone) = (excluded.threshold, excluded.zone)
 WHERE (t.threshold, t.zone) <> (excluded.threshold, excluded.zone)
RETURNING EXISTS (SELECT FROM former) AS changed;

-- name: engagement_all_stale
-- Of any kind and content that anybody watched.
INSERT INTO engagement_stale (kind, content_id)
SELECT DISTINCT kind, content_id FROM engagement_learners
 ORDER BY kind, content_id
ON CONFLICT (kind, content_id) DO UPDATE SET (behind, noted_at) = ('', clock_timestamp());
