-- name: put_recording
-- Told twice is told once, whatever the second message says.
INSERT INTO recordings (record_id, room_id, sid, told_mb, reported_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (record_id) DO NOTHING;

-- name: put_artifact
-- The same file is told under two events by one server: once is enough.
INSERT INTO analytics_artifacts (artifact_id, room_id, sid, older) VALUES ($1, $2, $3, $4)
ON CONFLICT (artifact_id) DO NOTHING;

-- name: claim_recordings
-- Due ones, and those whose owner has died with them. SKIP LOCKED: two nodes that look at once get different ones.
WITH due AS (
    SELECT id
      FROM recordings
     WHERE (state = 'pending' AND next_at <= clock_timestamp())
        OR (state = 'fetching' AND lease_until <= clock_timestamp())
     ORDER BY next_at, id
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
)
UPDATE recordings AS r
   SET state = 'fetching', owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2),
       attempts = attempts + 1, fruitless = fruitless + 1,
       first_tried_at = coalesce(first_tried_at, clock_timestamp())
  FROM due
 WHERE r.id = due.id
RETURNING r.id, r.record_id, r.room_id, r.sid, r.told_mb, r.reported_at, r.state, r.reason, r.attempts, r.fruitless,
          r.first_tried_at, r.next_at, r.expected_bytes, r.validator, r.size_bytes, r.sha256, r.duration_ms,
          r.tracks::text AS tracks, r.thumbnail, r.thumbnail_reason,
          extract(epoch FROM clock_timestamp() - r.first_tried_at)::float8 AS tried_for_s;

-- name: claim_artifacts
-- As recordings are claimed.
WITH due AS (
    SELECT artifact_id
      FROM analytics_artifacts
     WHERE (state = 'pending' AND next_at <= clock_timestamp())
        OR (state = 'fetching' AND lease_until <= clock_timestamp())
     ORDER BY next_at, artifact_id
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
)
UPDATE analytics_artifacts AS a
   SET state = 'fetching', owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2),
       attempts = attempts + 1, first_tried_at = coalesce(first_tried_at, clock_timestamp())
  FROM due
 WHERE a.artifact_id = due.artifact_id
RETURNING a.artifact_id, a.room_id, a.sid, a.older, a.attempts,
          extract(epoch FROM clock_timestamp() - a.first_tried_at)::float8 AS tried_for_s;

-- name: prolong_jobs
-- All that this owner has in hand, in one go; returns what is still its own.
WITH kept AS (
    UPDATE recordings SET lease_until = clock_timestamp() + make_interval(secs => $2)
     WHERE state = 'fetching' AND owner = $1
    RETURNING id::text AS key
), read AS (
    UPDATE analytics_artifacts SET lease_until = clock_timestamp() + make_interval(secs => $2)
     WHERE state = 'fetching' AND owner = $1
    RETURNING artifact_id AS key
)
SELECT key FROM kept UNION ALL SELECT key FROM read;

-- name: release_recordings
-- Given up by an owner that leaves, or ($2) taken from all: then nobody else can be alive. Counts as no attempt.
UPDATE recordings
   SET state = 'pending', owner = NULL, lease_until = NULL, next_at = clock_timestamp(),
       attempts = greatest(0, attempts - 1), fruitless = greatest(0, fruitless - 1)
 WHERE state = 'fetching' AND (owner = $1 OR $2::boolean)
RETURNING id;

-- name: release_artifacts
-- As recordings are.
UPDATE analytics_artifacts
   SET state = 'pending', owner = NULL, lease_until = NULL, next_at = clock_timestamp(),
       attempts = greatest(0, attempts - 1)
 WHERE state = 'fetching' AND (owner = $1 OR $2::boolean)
RETURNING artifact_id;

-- name: recording_begins
-- What its server says of the file, so that after a crash the bytes that are there can be told from another version's.
UPDATE recordings SET expected_bytes = $3, validator = $4
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: recording_examined
-- Before the file goes to its place: whoever finds it there later knows what it must be.
UPDATE recordings
   SET size_bytes = $3, sha256 = $4, duration_ms = $5, tracks = $6::text::json, thumbnail = $7, thumbnail_reason = $8
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: recording_ready
-- The last step. Of an owner that lost it in the meantime nothing is taken.
UPDATE recordings
   SET state = 'ready', reason = NULL, owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: recording_again
-- Another attempt $4 seconds from now; one that brought something starts the waits anew.
UPDATE recordings
   SET state = 'pending', reason = $3, owner = NULL, lease_until = NULL,
       next_at = clock_timestamp() + make_interval(secs => $4),
       fruitless = CASE WHEN $5::boolean THEN 0 ELSE fruitless END
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: recording_failed
-- Given up, and the reason stays on the record.
UPDATE recordings
   SET state = 'failed', reason = $3, owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: recording_starts_over
-- What was known of the file was not so: it is fetched from its beginning.
UPDATE recordings
   SET expected_bytes = NULL, validator = NULL, size_bytes = NULL, sha256 = NULL, duration_ms = NULL, tracks = NULL,
       thumbnail = false, thumbnail_reason = NULL
 WHERE id = $1 AND owner = $2 AND state = 'fetching'
RETURNING id;

-- name: artifact_ready
-- Its figures are durable in the room.
UPDATE analytics_artifacts
   SET state = 'ready', reason = NULL, owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
 WHERE artifact_id = $1 AND owner = $2 AND state = 'fetching'
RETURNING artifact_id;

-- name: artifact_again
-- Another attempt $4 seconds from now.
UPDATE analytics_artifacts
   SET state = 'pending', reason = $3, owner = NULL, lease_until = NULL,
       next_at = clock_timestamp() + make_interval(secs => $4)
 WHERE artifact_id = $1 AND owner = $2 AND state = 'fetching'
RETURNING artifact_id;

-- name: artifact_failed
-- Given up.
UPDATE analytics_artifacts
   SET state = 'failed', reason = $3, owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
 WHERE artifact_id = $1 AND owner = $2 AND state = 'fetching'
RETURNING artifact_id;

-- name: recordings_of_room
-- In the order in which they were told.
SELECT id, record_id, room_id, sid, told_mb, reported_at, state, reason, attempts, fruitless, first_tried_at, next_at,
       expected_bytes, validator, size_bytes, sha256, duration_ms, tracks::text AS tracks, thumbnail, thumbnail_reason,
       0::float8 AS tried_for_s
  FROM recordings
 WHERE room_id = $1
 ORDER BY reported_at, id
 LIMIT $2::bigint;

-- name: recording
-- By its public id.
SELECT id, record_id, room_id, sid, told_mb, reported_at, state, reason, attempts, fruitless, first_tried_at, next_at,
       expected_bytes, validator, size_bytes, sha256, duration_ms, tracks::text AS tracks, thumbnail, thumbnail_reason,
       0::float8 AS tried_for_s
  FROM recordings
 WHERE id = $1;

-- name: recordings_page
-- For people who look after them: newest first, of one state or of any.
SELECT id, record_id, room_id, sid, told_mb, reported_at, state, reason, attempts, fruitless, first_tried_at, next_at,
       expected_bytes, validator, size_bytes, sha256, duration_ms, tracks::text AS tracks, thumbnail, thumbnail_reason,
       0::float8 AS tried_for_s
  FROM recordings
 WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR room_id = $2)
 ORDER BY reported_at DESC, id
 LIMIT $3::bigint;

-- name: open_recordings
-- Which of these are still to be finished: the work folder keeps nothing of others.
SELECT id FROM recordings WHERE id = ANY ($1::uuid[]) AND state IN ('pending', 'fetching');

-- name: retry_recordings
-- Begins anew, with a whole day ahead. One that waits is tried at once; one that is ready or in hand stays as it is.
UPDATE recordings
   SET state = 'pending', next_at = clock_timestamp(), first_tried_at = NULL, attempts = 0, fruitless = 0,
       finished_at = NULL
 WHERE (state = 'failed' OR (state = 'pending' AND NOT $2::boolean))
   AND ($2::boolean OR id::text = $1 OR record_id = $1)
RETURNING id;

-- name: count_recordings
-- For the metrics: a few thousand rows, by an index-only look at most.
SELECT state, count(*) AS count FROM recordings GROUP BY state;
