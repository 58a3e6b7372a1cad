-- name: mobile_image_hashes
-- What clients need not send again; an index has them in this order. Frames are never sent again.
SELECT hash FROM mobile_images WHERE project = $1 AND NOT frame ORDER BY stored_at DESC LIMIT $2;

-- name: mobile_images_known
-- Which of these a session has: a request that comes again stores nothing.
SELECT hash FROM mobile_images WHERE session_id = $1 AND hash = ANY ($2::text[]);

-- name: mobile_images_turn
-- What grows for one session is counted one after the other.
SELECT session_id FROM mobile_sessions WHERE session_id = $1 FOR NO KEY UPDATE;

-- name: mobile_image_file_grows
-- Before its bytes are put away, so that they are known of whatever happens then. No row: the session has all that it
-- may have.
INSERT INTO mobile_image_files (file, session_id, images, bytes)
SELECT $1, $2, $3::integer, $4::bigint
  FROM (SELECT coalesce(sum(images), 0) AS images, coalesce(sum(bytes), 0) AS bytes
          FROM mobile_image_files WHERE session_id = $2 AND state <> 'doomed') AS there
 WHERE there.images + $3::integer <= $5 AND there.bytes + $4::bigint <= $6
RETURNING file;

-- name: mobile_image_file_kept
-- No row: it was swept meanwhile, and its bytes with it.
UPDATE mobile_image_files SET state = 'kept', since = now() WHERE file = $1 AND state = 'growing' RETURNING file;

-- name: mobile_session_held
-- An erasure waits until the images are there, and takes them along; or the session is gone, and so are its images.
SELECT session_id FROM mobile_sessions WHERE session_id = $1 FOR KEY SHARE;

-- name: keep_mobile_images
-- Those that another request brought meanwhile are there already.
INSERT INTO mobile_images (session_id, hash, project, file, start, size_bytes, media, frame, at)
SELECT $1, i.hash, $2, $3, i.start, i.size_bytes, i.media, i.frame, i.at
  FROM unnest($4::text[], $5::integer[], $6::integer[], $7::text[], $8::boolean[], $9::timestamptz[])
       AS i (hash, start, size_bytes, media, frame, at)
ON CONFLICT (session_id, hash) DO NOTHING;

-- name: doom_mobile_image_file
-- Nothing of it may be seen: it goes with the next sweep. One in which there are images stays.
UPDATE mobile_image_files AS f SET state = 'doomed', since = now()
 WHERE f.file = $1 AND f.state <> 'doomed' AND NOT EXISTS (SELECT FROM mobile_images AS i WHERE i.file = f.file);

-- name: doom_forgotten_mobile_image_files
-- Whoever wrote them is gone: a request takes minutes at the most. By the database's clock, which all nodes share.
UPDATE mobile_image_files SET state = 'doomed', since = now()
 WHERE state = 'growing' AND since < now() - make_interval(secs => $1);

-- name: doomed_mobile_image_files
-- The oldest first, and a bounded number.
SELECT file FROM mobile_image_files WHERE state = 'doomed' ORDER BY since LIMIT $1;

-- name: mobile_image_files_gone
-- Their bytes are gone from the store of files.
DELETE FROM mobile_image_files WHERE file = ANY ($1::uuid[]) AND state = 'doomed';

-- name: mobile_images_page
-- By hash, which is the order of the key; frames are named by their time, so they come in its order.
SELECT hash, file, start, size_bytes, media, frame, at, stored_at
  FROM mobile_images WHERE session_id = $1 AND hash > $2 ORDER BY hash LIMIT $3;

-- name: mobile_image
-- One by its key.
SELECT hash, file, start, size_bytes, media, frame, at, stored_at
  FROM mobile_images WHERE session_id = $1 AND hash = $2;

-- name: mobile_images_of_learner
-- A page of the images of all sessions that go with a learner: theirs, and those that are nobody's and say they are.
SELECT i.session_id, i.hash, i.file, i.start, i.size_bytes, i.media, i.frame, i.at, i.stored_at
  FROM mobile_sessions AS s
  JOIN mobile_images AS i ON i.session_id = s.session_id
 WHERE (s.user_id = $1 OR s.user_id IS NULL AND s.user_label = $1) AND (i.session_id, i.hash) > ($2, $3)
 ORDER BY i.session_id, i.hash LIMIT $4;

-- name: drop_old_mobile_images
-- As `drop_old_segments`; a trigger dooms the files in which none is left.
DELETE FROM mobile_images
 WHERE (session_id, hash) IN (SELECT session_id, hash FROM mobile_images WHERE stored_at < $1 LIMIT $2);
