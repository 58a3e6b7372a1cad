-- name: save_snapshots
-- A snapshot never gives way to an older one; the rows that come back are those that were written.
INSERT INTO actors AS a (kind, key, partition, version, epoch, wake_at, body)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
ON CONFLICT (kind, key) DO UPDATE
   SET partition = excluded.partition, version = excluded.version, epoch = excluded.epoch,
       wake_at = excluded.wake_at, body = excluded.body, updated_at = now()
 WHERE a.version <= excluded.version
RETURNING kind, key;

-- name: delete_snapshots
-- Actors that are over, unless a newer snapshot says that they are not.
DELETE FROM actors AS a
 USING unnest($1::smallint[], $2::text[], $3::bigint[]) AS n (kind, key, version)
 WHERE a.kind = n.kind AND a.key = n.key AND a.version <= n.version;

-- name: existing_snapshots
-- Asked after `delete_snapshots`: whoever is still there is newer.
SELECT a.kind, a.key
  FROM actors AS a
  JOIN unnest($1::smallint[], $2::text[]) AS n (kind, key) ON a.kind = n.kind AND a.key = n.key;

-- name: load_snapshots
-- Those of one kind that exist.
SELECT key, partition, version, wake_at, body FROM actors WHERE kind = $1 AND key = ANY ($2::text[]);

-- name: awake_snapshots
-- A page of those that want to be woken, behind ($2, $3, $4), along the partial index.
SELECT partition, kind, key, version, wake_at, body
  FROM actors
 WHERE awake AND partition = ANY ($1::integer[]) AND (partition, kind, key) > ($2, $3::smallint, $4)
 ORDER BY partition, kind, key
 LIMIT $5;
