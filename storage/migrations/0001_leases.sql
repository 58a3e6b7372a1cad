-- Who owns which partition, in two tables.
--
-- `partition_leases` is the fence: whoever writes holds its row FOR SHARE until the commit, so it changes only when the
-- ownership does. `lease_terms` holds what is prolonged every second or two. In one row, each prolongation would wait
-- for the longest checkpoint that is under way, and every journal write behind it for the prolongation.
CREATE TABLE partition_leases (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    owner text COLLATE "C",  -- NULL: nobody, given up
    epoch bigint NOT NULL CHECK (epoch >= 0),
    address text,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lease_terms (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    owner text COLLATE "C",
    epoch bigint NOT NULL CHECK (epoch >= 0),
    expires_at timestamptz NOT NULL
) WITH (
    fillfactor = 20,  -- every renewal stays on its page, where the next one sweeps it up
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500
);
