-- name: append_journal
-- One statement, one transaction, one round trip. The fence is taken as in `hold_leases`, but without a join, which costs
-- 9 us: both arrays come in the order of partitions, and so are compared as wholes. The row is written only when every
-- lease is held; a batch that is there already (its answer got lost) changes nothing. No row: it was not written.
WITH held AS MATERIALIZED (
    SELECT partition, epoch
      FROM partition_leases
     WHERE partition = ANY ($3::integer[]) AND owner = $1
     ORDER BY partition
       FOR SHARE
)
INSERT INTO journal (owner, number, partitions, epochs, entries, body)
SELECT $1, $2, $3, $4, $5, $6
  FROM (SELECT array_agg(partition) AS partitions, array_agg(epoch) AS epochs FROM held) AS h
 WHERE h.partitions = $3::integer[] AND h.epochs = $4::bigint[]
ON CONFLICT (owner, number) DO NOTHING
RETURNING id;

-- name: journaled
-- Whether what is stored under this idempotency key is the same batch. No row: nothing is.
SELECT body = $3 AND partitions <@ $4::integer[] AS same FROM journal WHERE owner = $1 AND number = $2;

-- name: read_journal
-- A page of batches in the order of writing, from behind `id` $2. By pages and not by a cursor: a transaction that stays
-- open would keep the dead rows of this table from being cleared, and would be ended when its reader thinks for long.
SELECT id, body FROM journal WHERE id > $2 AND partitions && $1::integer[] ORDER BY id LIMIT $3;

-- name: trim_journal
-- The owner's own batches that checkpoints have made superfluous.
DELETE FROM journal WHERE owner = $1 AND number < $2;

-- name: adopt_whole_batches
-- Batches of former owners that concern only what is adopted. (Owner NULL is no batch: `<>` is safe.)
DELETE FROM journal WHERE owner <> $1 AND partitions && $2::integer[] AND partitions <@ $2::integer[];

-- name: adopt_shared_batches
-- Batches of former owners that concern others too: they stay, for those. Another node may be adopting the rest of the
-- same batch: the row is then waited for and computed anew.
UPDATE journal AS j
   SET partitions = ARRAY(SELECT p FROM unnest(j.partitions) WITH ORDINALITY AS u (p, place)
                           WHERE p <> ALL ($2::integer[]) ORDER BY place),
       epochs = ARRAY(SELECT e FROM unnest(j.partitions, j.epochs) WITH ORDINALITY AS u (p, e, place)
                       WHERE p <> ALL ($2::integer[]) ORDER BY place)
 WHERE j.owner <> $1 AND j.partitions && $2::integer[];

-- name: forget_orphaned_batches
-- What two nodes have adopted at the same time concerns nobody any more.
DELETE FROM journal WHERE partitions = '{}';
