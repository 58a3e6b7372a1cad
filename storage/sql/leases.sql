-- name: hold_leases
-- The fence of a transaction: those of the named leases that are held, locked until it ends, so that nobody takes them
-- over before what is written under them is there to be read. FOR SHARE and not FOR KEY SHARE: an epoch is no key. A
-- lease that another transaction is changing is waited for and then compared anew. In order, so that two cannot deadlock.
SELECT l.partition
  FROM partition_leases AS l
  JOIN unnest($2::integer[], $3::bigint[]) AS w (partition, epoch) USING (partition)
 WHERE l.owner = $1 AND l.epoch = w.epoch
 ORDER BY l.partition
   FOR SHARE OF l;

-- name: lost_leases
-- Which of those named are not held. A lease that is lost stays lost: its epoch does not come back.
SELECT w.partition
  FROM unnest($2::integer[], $3::bigint[]) AS w (partition, epoch)
  LEFT JOIN partition_leases AS l ON l.partition = w.partition AND l.owner = $1 AND l.epoch = w.epoch
 WHERE l.partition IS NULL;

-- name: make_leases
-- A partition that nobody has ever owned gets its rows, with a term that is over.
WITH fences AS (
    INSERT INTO partition_leases (partition, epoch)
    SELECT p, 0 FROM unnest($1::integer[]) AS p ORDER BY p
    ON CONFLICT (partition) DO NOTHING
)
INSERT INTO lease_terms (partition, epoch, expires_at)
SELECT p, 0, '-infinity' FROM unnest($1::integer[]) AS p ORDER BY p
ON CONFLICT (partition) DO NOTHING;

-- name: lock_free_terms
-- Those that may be taken, by this server's clock at the moment when each is locked. In order, so that two nodes that
-- take over from a third cannot deadlock.
SELECT partition
  FROM lease_terms
 WHERE partition = ANY ($2::integer[])
   AND (owner IS NULL OR owner = $1 OR expires_at <= clock_timestamp() OR $3::boolean)
 ORDER BY partition
   FOR UPDATE;

-- name: lock_fences
-- Waits for every write under way under the old epochs. Comes after the terms are locked, always.
SELECT partition FROM partition_leases WHERE partition = ANY ($1::integer[]) ORDER BY partition FOR UPDATE;

-- name: take_leases
-- Both rows change hands together, with one new epoch.
WITH fences AS (
    UPDATE partition_leases
       SET owner = $1, address = $2, epoch = epoch + 1, changed_at = clock_timestamp()
     WHERE partition = ANY ($3::integer[])
    RETURNING partition, epoch
)
UPDATE lease_terms AS t
   SET owner = $1, epoch = f.epoch, expires_at = clock_timestamp() + make_interval(secs => $4)
  FROM fences AS f
 WHERE t.partition = f.partition
RETURNING t.partition, t.epoch;

-- name: renew_leases
-- Touches the terms only: it waits for no writer. A term that ran out is prolonged where nobody took it.
WITH ours AS (
    SELECT t.partition
      FROM lease_terms AS t
      JOIN unnest($2::integer[], $3::bigint[]) AS w (partition, epoch) USING (partition)
     WHERE t.owner = $1 AND t.epoch = w.epoch
     ORDER BY t.partition
       FOR UPDATE OF t
)
UPDATE lease_terms AS t
   SET expires_at = clock_timestamp() + make_interval(secs => $4)
  FROM ours
 WHERE t.partition = ours.partition
RETURNING t.partition;

-- name: lock_own_terms
-- The first half of giving up: same order of locks as taking.
SELECT t.partition
  FROM lease_terms AS t
  JOIN unnest($2::integer[], $3::bigint[]) AS w (partition, epoch) USING (partition)
 WHERE t.owner = $1 AND t.epoch = w.epoch
 ORDER BY t.partition
   FOR UPDATE OF t;

-- name: release_leases
-- Nobody's: the former owner can write no more, and anybody may take them at once.
WITH fences AS (
    UPDATE partition_leases SET owner = NULL, address = NULL, changed_at = clock_timestamp()
     WHERE partition = ANY ($1::integer[])
)
UPDATE lease_terms SET owner = NULL, expires_at = '-infinity' WHERE partition = ANY ($1::integer[]);
