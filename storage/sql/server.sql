-- name: make_commits_durable
-- An acknowledgement is a promise: commits wait for the disk and for a synchronous standby, whatever the server's,
-- database's or role's default is. `remote_apply` promises more than `on` and stays.
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');

-- name: ping
-- The shortest question that needs a working backend.
SELECT 1;

-- name: server_version
-- As a number, e.g. 150018: the text form differs between distributions.
SELECT current_setting('server_version_num')::integer;

-- name: timescale_version
-- No row without the extension in this database.
SELECT extversion FROM pg_extension WHERE extname = 'timescaledb';

-- name: begin
-- The fence needs READ COMMITTED: after waiting for a lock, a lease is compared as it stands then.
BEGIN ISOLATION LEVEL READ COMMITTED;

-- name: begin_reading
-- Several questions about one moment.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: commit
-- Sent by the client after everything else: a transaction whose client gave up can only have been rolled back.
COMMIT;

-- name: rollback
-- Also leaves a transaction that failed.
ROLLBACK;
