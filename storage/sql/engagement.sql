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

-- name: engagement_totals_within
-- As the sums, of learners all of whose doings lie in [$4, $5): their rows say what was done in that period. Coverage as
-- in `engagement_coverage`, where $8 asks for it.
SELECT coalesce(sum(views), 0)::bigint AS views, count(*) FILTER (WHERE views > 0) AS viewers,
       coalesce(sum(starts), 0)::bigint AS starts,
       count(*) FILTER (WHERE views > 0 AND completed_at < $5::timestamptz) AS completed,
       count(*) FILTER (WHERE views > 0 AND replayed) AS replayed,
       count(*) FILTER (WHERE views > 0 AND starter) AS starters,
       count(*) FILTER (WHERE views > 0 AND starter AND completed_at < $5::timestamptz) AS completed_starters,
       coalesce(sum(watch_ms), 0)::bigint AS watch_ms, coalesce(sum(view_content_ms), 0)::bigint AS content_ms,
       array_agg(CASE WHEN $7::bigint IS NULL OR told_ms = $7 THEN covered_ms
                      ELSE (SELECT coalesce(sum(upper(piece) - lower(piece)), 0)::bigint
                              FROM unnest(coverage * int4multirange(int4range(0, $6::bigint::integer))) AS piece)
                 END) FILTER (WHERE views > 0 AND $8::boolean) AS covered
  FROM engagement_learners
 WHERE kind = $1 AND content_id = $2 AND version = $3
   AND first_start >= $4::timestamptz AND last_start < $5 AND (last_end IS NULL OR last_end < $5);

-- name: engagement_curve_within
-- As `engagement_curve`, of the learners of `engagement_totals_within`.
SELECT p.second, sum(p.plays)::integer AS plays, sum(p.viewers)::integer AS viewers
  FROM engagement_learners AS l,
       unnest(l.curve_seconds, l.curve_plays, l.curve_viewers) AS p (second, plays, viewers)
 WHERE l.kind = $1 AND l.content_id = $2 AND l.version = $3
   AND l.first_start >= $4::timestamptz AND l.last_start < $5::timestamptz AND (l.last_end IS NULL OR l.last_end < $5)
 GROUP BY p.second;

-- name: engagement_others_between
-- The learners with something in [$4, $5) and something outside; those whose row does not say it yet too.
SELECT user_id FROM engagement_learners
 WHERE kind = $1 AND content_id = $2 AND version = $3 AND user_id > $6
   AND (first_start IS NULL
        OR (first_start < $5::timestamptz AND last_start >= $4::timestamptz
            AND (first_start < $4 OR last_start >= $5 OR last_end >= $5)))
 ORDER BY user_id
 LIMIT $7;

-- name: engagement_ends
-- How far viewers came, in $5 buckets of $4 ms; $6 is now; [$7, $8) as in `engagement_totals_within`, NULL: of all. The same quotients as in actors/figures/engagement.py.
WITH viewers AS (
    SELECT least($5::bigint, (2 * $5::bigint * furthest_ms + $4::bigint) / (2 * $4::bigint)) AS reached,
           CASE WHEN completed_at IS NOT NULL THEN $5::bigint - 1
                ELSE least($5::bigint - 1, coalesce(exit_ms, 0) * $5::bigint / $4::bigint) END AS last,
           CASE WHEN completed_at IS NOT NULL THEN 0 WHEN open_until > $6::timestamptz THEN 1 ELSE 2 END AS outcome
      FROM (SELECT furthest_ms, exit_ms, completed_at, open_until FROM engagement_learners
             WHERE kind = $1 AND content_id = $2 AND version = $3 AND views > 0
               AND ($7::timestamptz IS NULL OR (
                    first_start >= $7 AND last_start < $8::timestamptz AND (last_end IS NULL OR last_end < $8)))) AS l
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
-- Learners with a replay on one of these days: a row a learner.
SELECT count(*) AS users FROM engagement_replayers WHERE days && int4range($1, $2);

-- name: engagement_between
-- The same of any period, not of whole days: over the sessions themselves.
SELECT count(*) AS sessions, count(*) FILTER (WHERE known) AS known, count(*) FILTER (WHERE completed) AS completed,
       count(*) FILTER (WHERE replay) AS replays, count(DISTINCT (kind, content_id, user_id)) FILTER (WHERE known) AS starts,
       count(*) FILTER (WHERE reached >= 1), count(*) FILTER (WHERE reached >= 2),
       count(*) FILTER (WHERE reached >= 3), count(*) FILTER (WHERE reached >= 4),
       count(*) FILTER (WHERE at_end), count(DISTINCT user_id) FILTER (WHERE replay) AS users
  FROM engagement_sessions
 WHERE started_at >= $1 AND started_at < $2;
