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
-- The learners with something in [$4, $5) and something outside, and what of the facts is theirs at its end: as kept, where
-- nothing came later, else out of what was played before ($8: sessions of this version begin then; NULL: all are).
-- `content_ms` NULL: to be worked out of all their rows. Their row does not say it yet; or something without wall time, so
-- told by others, lies beyond the end ($9, or what their client told) and is to be cut there.
WITH l AS MATERIALIZED (
    SELECT user_id, told_ms, completed_at, coverage, content_ms, furthest_ms, first_start IS NOT NULL AS known,
           last_end IS NULL OR last_end < $5::timestamptz AS over
      FROM engagement_learners
     WHERE kind = $1 AND content_id = $2 AND version = $3 AND user_id > $6
       AND (first_start IS NULL
            OR (first_start < $5 AND last_start >= $4::timestamptz
                AND (first_start < $4 OR last_start >= $5 OR last_end >= $5)))
     ORDER BY user_id
     LIMIT $7
)
SELECT l.user_id, l.told_ms, l.completed_at,
       ARRAY(SELECT b FROM unnest(f.coverage) AS piece, LATERAL (VALUES (lower(piece)), (upper(piece))) AS e (b) ORDER BY b)
           AS bounds,
       f.content_ms, f.furthest_ms
  FROM l
  LEFT JOIN LATERAL (
        SELECT l.coverage, l.content_ms, l.furthest_ms WHERE l.known AND l.over
         UNION ALL
        SELECT range_agg(int4range(least(g.playhead_start_ms, 2147483646)::integer,
                                   least(g.playhead_end_ms, 2147483646)::integer)),
               CASE WHEN bool_or(g.playhead_end_ms > coalesce($9::bigint, l.told_ms) AND g.start_timestamp = g.end_timestamp)
                    THEN NULL ELSE coalesce(sum(g.playhead_end_ms - g.playhead_start_ms), 0)::bigint END,
               coalesce(max(g.playhead_end_ms), 0)
          FROM study_logs AS g
         WHERE g.kind = $1 AND g.content_id = $2 AND g.user_id = l.user_id AND g.verified AND g.end_timestamp < $5
           AND ($8::timestamptz IS NULL OR EXISTS (
                SELECT FROM watch_sessions AS w WHERE w.session_id = g.session_id AND w.started_at >= $8))
        HAVING l.known AND NOT l.over) AS f ON true
 ORDER BY l.user_id;

-- name: engagement_played_between
-- Sessions of some learners that began in [$4, $5), with all that counts of them in the order of time: as lists of numbers,
-- a tenth of what rows of segments cost to receive.
SELECT s.user_id, s.session_id, s.started_at, s.ended_at, s.last_sample_at, s.position_ms, s.duration_ms,
       CASE WHEN s.door = 'xapi' THEN s.covered_ms END AS told_ms, g.starts, g.ends, g.lows, g.highs
  FROM unnest($3::text[]) AS u (user_id)
  JOIN watch_sessions AS s ON s.kind = $1 AND s.content_id = $2 AND s.user_id = u.user_id
 CROSS JOIN LATERAL (
       SELECT array_agg((date_part('epoch', start_timestamp) * 1000)::bigint) AS starts,
              array_agg((date_part('epoch', end_timestamp) * 1000)::bigint) AS ends,
              array_agg(playhead_start_ms) AS lows, array_agg(playhead_end_ms) AS highs
         FROM (SELECT start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms FROM study_logs AS p
                WHERE p.session_id = s.session_id AND p.verified
                ORDER BY start_timestamp, number) AS p) AS g
 WHERE s.started_at >= $4 AND s.started_at < $5;

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
-- The same of any period [$1, $2): its whole days [$3, $4), which last from $5 to $6, as they are kept, and its edges over
-- the sessions themselves; of these, learners and contents are new whom none of the whole days has.
WITH edge AS MATERIALIZED (
    SELECT * FROM engagement_sessions WHERE started_at >= $1::timestamptz AND started_at < $5::timestamptz
     UNION ALL
    SELECT * FROM engagement_sessions WHERE started_at >= $6::timestamptz AND started_at < $2::timestamptz
), days AS (
    SELECT coalesce(sum(sessions), 0) AS sessions, coalesce(sum(known), 0) AS known, coalesce(sum(completed), 0) AS completed,
           coalesce(sum(replays), 0) AS replays, coalesce(sum(known) FILTER (WHERE before < $3), 0) AS starts,
           coalesce(sum(reached_25), 0) AS reached_25, coalesce(sum(reached_50), 0) AS reached_50,
           coalesce(sum(reached_75), 0) AS reached_75, coalesce(sum(reached_90), 0) AS reached_90,
           coalesce(sum(reached_100), 0) AS reached_100
      FROM engagement_days
     WHERE day >= $3 AND day < $4
), edges AS (
    SELECT count(*) AS sessions, count(*) FILTER (WHERE known) AS known, count(*) FILTER (WHERE completed) AS completed,
           count(*) FILTER (WHERE replay) AS replays, count(*) FILTER (WHERE reached >= 1) AS reached_25,
           count(*) FILTER (WHERE reached >= 2) AS reached_50, count(*) FILTER (WHERE reached >= 3) AS reached_75,
           count(*) FILTER (WHERE reached >= 4) AS reached_90, count(*) FILTER (WHERE at_end) AS reached_100
      FROM edge
), starts AS (
    SELECT count(*) AS starts
      FROM (SELECT DISTINCT kind, content_id, user_id FROM edge WHERE known) AS e
     WHERE NOT EXISTS (SELECT FROM engagement_sessions AS s
                        WHERE s.kind = e.kind AND s.content_id = e.content_id AND s.user_id = e.user_id
                          AND s.known AND s.day >= $3 AND s.day < $4)
), users AS (
    SELECT count(*) AS users
      FROM (SELECT user_id FROM edge WHERE replay
             UNION
            SELECT user_id FROM engagement_replayers WHERE days && int4range($3, $4)) AS u
)
SELECT (d.sessions + e.sessions)::bigint AS sessions, (d.known + e.known)::bigint AS known,
       (d.completed + e.completed)::bigint AS completed, (d.replays + e.replays)::bigint AS replays,
       (d.starts + s.starts)::bigint AS starts, (d.reached_25 + e.reached_25)::bigint,
       (d.reached_50 + e.reached_50)::bigint, (d.reached_75 + e.reached_75)::bigint,
       (d.reached_90 + e.reached_90)::bigint, (d.reached_100 + e.reached_100)::bigint, u.users
  FROM days AS d, edges AS e, starts AS s, users AS u;
