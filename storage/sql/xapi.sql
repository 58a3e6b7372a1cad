-- name: xapi_known
-- Statements that are kept already: the same again is no news, another content is a conflict.
SELECT statement_id::text, digest FROM xapi_statements WHERE statement_id = ANY ($1::text[]::uuid[]);

-- name: xapi_contents
-- Contents that their owners gave these names. Of several the first by key, so that it is always the same one.
SELECT DISTINCT ON (xapi_id) xapi_id, kind, content_id, duration_ms
  FROM contents WHERE xapi_id = ANY ($1::text[])
 ORDER BY xapi_id, kind, content_id;

-- name: xapi_lengths
-- Of contents that are known by their own keys.
SELECT c.kind, c.content_id, c.duration_ms
  FROM unnest($1::text[], $2::text[]) AS n (kind, content_id)
  JOIN contents AS c USING (kind, content_id);

-- name: xapi_stubs
-- Contents that nobody told of; in order, so that two writers do not wait for each other.
INSERT INTO contents (kind, content_id, stub)
SELECT kind, content_id, true FROM unnest($1::text[], $2::text[]) AS n (kind, content_id)
 ORDER BY kind, content_id
ON CONFLICT (kind, content_id) DO NOTHING;

-- name: xapi_lock_sessions
-- Sessions to be worked out anew, held until the commit: who waited sees the statements of whom it waited for. In order.
INSERT INTO xapi_sessions AS t (key, user_id, kind, content_id, session_id, statements, stored_at)
SELECT key::uuid, user_id, kind, content_id, session_id, 0, $6::timestamptz
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS n (key, user_id, kind, content_id, session_id)
 ORDER BY key::uuid
ON CONFLICT (key) DO UPDATE SET stored_at = greatest(t.stored_at, excluded.stored_at)
RETURNING key::text, session_id, statements;

-- name: xapi_grow_sessions
-- How many statements each has now, under which watch session, and what its client claims.
UPDATE xapi_sessions AS t
   SET (session_id, statements, claimed_progress) =
       (n.session_id, n.statements, coalesce(n.claimed_progress, t.claimed_progress))
  FROM unnest($1::text[], $2::text[], $3::integer[], $4::double precision[])
       AS n (key, session_id, statements, claimed_progress)
 WHERE t.key = n.key::uuid;

-- name: xapi_keep
-- As they were sent. One that another process has just kept makes no row: the caller counts, and begins again.
INSERT INTO xapi_statements (
    statement_id, digest, user_id, session_id, at, verb_id, stored_at, heard, statement)
SELECT statement_id::uuid, digest, user_id, session_id, at, verb_id, stored_at, heard, statement::json
  FROM unnest(
    $1::text[], $2::bytea[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::bytea[],
    $9::text[])
    AS n (statement_id, digest, user_id, session_id, at, verb_id, stored_at, heard, statement)
 ORDER BY statement_id::uuid
ON CONFLICT (statement_id) DO NOTHING;

-- name: xapi_heard
-- All statements of some sessions, as far as they say anything.
SELECT session_id, statement_id::text, heard
  FROM xapi_statements
 WHERE session_id = ANY ($1::text[]);

-- name: xapi_drop_segments
-- Segments of these sessions that stand so no more; the learners and the times let old pieces of a hypertable alone.
DELETE FROM study_logs AS t
 WHERE t.session_id = ANY ($1::text[])
   AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::integer[], $4::timestamptz[]) AS n (session_id, number, at)
                    WHERE n.session_id = t.session_id AND n.number = t.number AND n.at = t.start_timestamp);

-- name: xapi_export_page
-- Sessions of ours that are over, by their start: who has others told them already. Sessions without a sample say
-- nothing. By the index on starts.
SELECT e.started_at, s.session_id, s.user_id, s.kind, s.content_id, s.ended_at, s.position_ms, c.title,
       coalesce(c.duration_ms, s.duration_ms) AS duration_ms, e.completed
  FROM engagement_sessions AS e
  JOIN watch_sessions AS s USING (session_id)
  LEFT JOIN contents AS c ON c.kind = s.kind AND c.content_id = s.content_id
 WHERE e.started_at >= $1::timestamptz AND e.started_at < $2::timestamptz
   AND (e.started_at, e.session_id) > ($3::timestamptz, $4::text)
   AND s.ended_at IS NOT NULL AND s.door <> 'xapi'
 ORDER BY e.started_at, e.session_id
 LIMIT $5;

-- name: xapi_export_segments
-- What counts of these sessions; the times let old pieces of a hypertable alone.
SELECT session_id, playhead_start_ms, playhead_end_ms
  FROM study_logs
 WHERE session_id = ANY ($1::text[]) AND verified AND start_timestamp BETWEEN $2 AND $3
 ORDER BY session_id, number;

-- name: drop_old_xapi_sessions
-- What was said of them is too old to be kept; whoever speaks of one again begins another.
DELETE FROM xapi_sessions
 WHERE stored_at < $1
   AND key IN (SELECT key FROM xapi_sessions WHERE stored_at < $1 ORDER BY stored_at LIMIT $2);

-- name: drop_old_xapi_statements
-- Not those of sessions that are still spoken of: these are worked out from all of theirs.
DELETE FROM xapi_statements
 WHERE statement_id IN (
        SELECT statement_id FROM xapi_statements AS s
         WHERE s.stored_at < $1
           AND NOT EXISTS (SELECT FROM xapi_sessions AS x WHERE x.session_id = s.session_id)
         LIMIT $2);
