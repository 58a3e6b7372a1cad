-- name: learner_completed
-- Of any version: a lesson that was done is done, however it is cut again.
SELECT EXISTS (
    SELECT FROM engagement_learners
     WHERE user_id = $1 AND kind = $2 AND content_id = $3 AND completed_at IS NOT NULL);

-- name: engagement_known
-- Whether there is such a content: one that the catalog told, one that a player named, one that was watched.
SELECT EXISTS (SELECT FROM contents WHERE kind = $1 AND content_id = $2)
    OR EXISTS (SELECT FROM engagement_totals WHERE kind = $1 AND content_id = $2);

-- name: engagement_totals
-- Kept as they change.
SELECT views, viewers, starts, completed, replayed, starters, completed_starters, watch_ms, content_ms
  FROM engagement_totals
 WHERE kind = $1 AND content_id = $2 AND version = $3;

-- name: engagement_coverage
-- One pass over the content's viewers; $4 is what must be watched. Where the length ($5) is only what clients told, a
-- learner's `covered_ms` is of the length that their own client told, and is of use where that is the same.
SELECT coalesce(sum(covered), 0)::bigint AS covered_ms,
       percentile_cont(ARRAY[0.25, 0.5, 0.75]::double precision[])
           WITHIN GROUP (ORDER BY covered::double precision) AS quartiles
  FROM (SELECT CASE WHEN $5::bigint IS NULL OR told_ms = $5 THEN covered_ms
                    ELSE (SELECT coalesce(sum(upper(piece) - lower(piece)), 0)
                            FROM unnest(coverage * int4multirange(int4range(0, $4::bigint::integer))) AS piece)
               END AS covered
          FROM engagement_learners
         WHERE kind = $1 AND content_id = $2 AND version = $3 AND views > 0) AS l;

-- name: engagement_curve
-- As many rows as the content has seconds at which somebody began or stopped.
SELECT second, plays, viewers FROM engagement_curves
 WHERE kind = $1 AND content_id = $2 AND version = $3 AND (plays, viewers) <> (0, 0);

-- name: engagement_ends
-- How far viewers came, in $5 buckets of $4 ms; $6 is now. The same quotients as in actors/figures/engagement.py.
WITH viewers AS (
    SELECT least($5::bigint, (2 * $5::bigint * furthest_ms + $4::bigint) / (2 * $4::bigint)) AS reached,
           CASE WHEN completed_at IS NOT NULL THEN $5::bigint - 1
                ELSE least($5::bigint - 1, coalesce(exit_ms, 0) * $5::bigint / $4::bigint) END AS last,
           CASE WHEN completed_at IS NOT NULL THEN 0 WHEN open_until > $6::timestamptz THEN 1 ELSE 2 END AS outcome
      FROM (SELECT furthest_ms, exit_ms, completed_at, open_until FROM engagement_learners
             WHERE kind = $1 AND content_id = $2 AND version = $3 AND views > 0) AS l
     WHERE $4::bigint > 0 AND $5::bigint > 0
)
SELECT reached::integer, last::integer, outcome, count(*)
  FROM viewers
 GROUP BY GROUPING SETS ((reached), (last, outcome));

-- name: engagement_viewers
-- A page by learner; coverage as in `engagement_coverage`.
SELECT user_id, views,
       CASE WHEN $7::bigint IS NULL OR told_ms = $7 THEN covered_ms
            ELSE (SELECT coalesce(sum(upper(piece) - lower(piece)), 0)
                    FROM unnest(coverage * int4multirange(int4range(0, $6::bigint::integer))) AS piece)
       END AS covered_ms,
       distinct_ms, content_ms, watch_ms, position_ms, completed_at
  FROM engagement_learners
 WHERE kind = $1 AND content_id = $2 AND version = $3 AND views > 0 AND user_id > $4
 ORDER BY user_id
 LIMIT $5;

-- name: engagement_learner
-- When the learner completed this version.
SELECT completed_at FROM engagement_learners
 WHERE kind = $1 AND content_id = $2 AND user_id = $3 AND version = $4;

-- name: engagement_users_between
-- Learners with a session that began in a period, by id.
SELECT DISTINCT user_id FROM watch_sessions
 WHERE kind = $1 AND content_id = $2 AND started_at >= $3 AND started_at < $4 AND user_id > $5
 ORDER BY user_id
 LIMIT $6;

-- name: engagement_is_before
-- Whether a period that begins here leaves something out.
SELECT EXISTS (SELECT FROM watch_sessions WHERE kind = $1 AND content_id = $2 AND started_at < $3);

-- name: engagement_top
-- Contents with a view in their latest version, best first; $1 chooses the measure, $3 to $5 are the last of the page
-- before. Sums are kept a content, so this reads no learner.
WITH ranked AS (
    SELECT t.kind, t.content_id, c.title, t.viewers, t.views, t.completed, t.starters, t.completed_starters, t.watch_ms,
           CASE $1
               WHEN 'viewers' THEN t.viewers::double precision
               WHEN 'completion' THEN t.completed::double precision / t.viewers
               WHEN 'drop_off' THEN
                   coalesce((t.starters - t.completed_starters)::double precision / nullif(t.starters, 0), 0)
               ELSE t.watch_ms::double precision
           END AS rank
      FROM engagement_totals AS t
      LEFT JOIN contents AS c USING (kind, content_id)
     WHERE t.views > 0 AND t.viewers > 0 AND ($2::text IS NULL OR c.course_id = $2)
       AND t.version = coalesce((SELECT max(v.version) FROM engagement_versions AS v
                                  WHERE v.kind = t.kind AND v.content_id = t.content_id), 1)
)
SELECT * FROM ranked
 WHERE $3::double precision IS NULL OR rank < $3 OR (rank = $3 AND (kind, content_id) > ($4::text, $5::text))
 ORDER BY rank DESC, kind, content_id
 LIMIT $6;

-- name: engagement_edges
-- Comings and goings of learners who watch anything. Of a segment counts what lies behind all that the learner began
-- before it: so each second counts once, in one pass. None lasts over a day, so what began earlier is not looked at.
WITH segments AS (
    SELECT user_id, greatest(start_timestamp, $1) AS low, least(end_timestamp, $2) AS high
      FROM study_logs
     WHERE content_id IS NOT NULL AND verified AND start_timestamp < $2 AND end_timestamp > $1
       AND start_timestamp > $1::timestamptz - interval '1 day'
), pieces AS (
    SELECT greatest(low, max(high) OVER (
               PARTITION BY user_id ORDER BY low ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS low, high
      FROM segments
), edges AS (
    SELECT low AS at, 1 AS change FROM pieces WHERE high > low
    UNION ALL
    SELECT high, -1 FROM pieces WHERE high > low
)
SELECT at, sum(change)::integer AS change FROM edges GROUP BY at HAVING sum(change) <> 0 ORDER BY at;

-- name: engagement_days
-- Whole days [$1, $2): distinct learners and contents are those whose session before was earlier than all of it.
SELECT coalesce(sum(sessions), 0)::bigint AS sessions, coalesce(sum(known), 0)::bigint AS known,
       coalesce(sum(completed), 0)::bigint AS completed, coalesce(sum(replays), 0)::bigint AS replays,
       coalesce(sum(known) FILTER (WHERE before < $1), 0)::bigint AS starts,
       coalesce(sum(reached_25), 0)::bigint, coalesce(sum(reached_50), 0)::bigint, coalesce(sum(reached_75), 0)::bigint,
       coalesce(sum(reached_90), 0)::bigint, coalesce(sum(reached_100), 0)::bigint
  FROM engagement_days
 WHERE day >= $1 AND day < $2;

-- name: engagement_replayers
-- Learners with a replay on one of these days.
SELECT count(*) AS users
  FROM (SELECT DISTINCT user_id FROM engagement_sessions WHERE replay AND day >= $1 AND day < $2) AS u;

-- name: engagement_between
-- The same of any period, not of whole days: over the sessions themselves.
SELECT count(*) AS sessions, count(*) FILTER (WHERE known) AS known, count(*) FILTER (WHERE completed) AS completed,
       count(*) FILTER (WHERE replay) AS replays, count(DISTINCT (kind, content_id, user_id)) FILTER (WHERE known) AS starts,
       count(*) FILTER (WHERE reached >= 1), count(*) FILTER (WHERE reached >= 2),
       count(*) FILTER (WHERE reached >= 3), count(*) FILTER (WHERE reached >= 4),
       count(*) FILTER (WHERE reached >= 5), count(DISTINCT user_id) FILTER (WHERE replay) AS users
  FROM engagement_sessions
 WHERE started_at >= $1 AND started_at < $2;
