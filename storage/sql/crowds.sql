-- name: crowd_marks
-- When learners who watch anything come and go, in order: twice the Unix ms, and one more for who comes. Each second of a
-- learner counts once: of a segment what lies behind all that they began before it, so one pass is enough. None lasts over
-- a day, so what began earlier is not looked at. `num_nonnulls`: by IS NOT NULL the planner would read the index of all
-- segments of lessons beside the one by time. As one list of numbers: a tenth of what rows of times cost to receive.
WITH segments AS (
    SELECT user_id, greatest(start_timestamp, $1) AS low, least(end_timestamp, $2) AS high
      FROM study_logs
     WHERE num_nonnulls(content_id) = 1 AND verified AND start_timestamp < $2 AND end_timestamp > $1
       AND start_timestamp > $1::timestamptz - interval '1 day'
), pieces AS (
    SELECT greatest(low, max(high) OVER (
               PARTITION BY user_id ORDER BY low ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS low, high
      FROM segments
)
SELECT coalesce(array_agg(mark ORDER BY mark), '{}') AS marks
  FROM (SELECT 2 * (date_part('epoch', low) * 1000)::bigint + 1 AS mark FROM pieces WHERE high > low
         UNION ALL
        SELECT 2 * (date_part('epoch', high) * 1000)::bigint FROM pieces WHERE high > low) AS m;

-- name: crowd_days
-- Those that are counted.
SELECT day, peaks, areas FROM crowd_days WHERE day >= $1 AND day < $2 AND peaks IS NOT NULL;

-- name: crowd_days_next
-- The latest day that is over and not counted; a day is over 25 hours behind its end, when the oldest sample that is taken
-- is written. -1: nobody has told of it.
SELECT d.day, coalesce(c.version, -1) AS version
  FROM generate_series(
         (SELECT floor(extract(epoch FROM min(start_timestamp)) / 86400)::integer FROM study_logs),
         floor((extract(epoch FROM clock_timestamp()) - 25 * 3600) / 86400)::integer - 1) AS d (day)
  LEFT JOIN crowd_days AS c USING (day)
 WHERE c.peaks IS NULL
 ORDER BY d.day DESC
 LIMIT 1;

-- name: crowd_days_write
-- Where nobody has told of the day since.
INSERT INTO crowd_days AS t (day, peaks, areas) VALUES ($1, $3, $4)
ON CONFLICT (day) DO UPDATE SET (peaks, areas) = (excluded.peaks, excluded.areas) WHERE t.version = $2;
