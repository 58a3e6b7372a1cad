-- name: lock_migrations
-- Whoever migrates, migrates alone; the others wait here, and then find the work done.
SELECT pg_advisory_lock(7955310921540267124);

-- name: unlock_migrations
-- Held by the session: an aborted migration must not keep it.
SELECT pg_advisory_unlock(7955310921540267124);

-- name: create_schema_migrations
-- Asked for each time: there is no migration before the first.
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text COLLATE "C" PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied_migrations
-- All that this database has seen.
SELECT name, checksum FROM schema_migrations ORDER BY name;

-- name: record_migration
-- In the transaction of the migration itself.
INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2);

-- name: has_schema_migrations
-- A plain question that needs no right to create anything.
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: server_encoding
-- Names are in every script; other encodings refuse most of them.
SELECT current_setting('server_encoding');

-- name: timescale_loadable
-- The extension may be made here: its files are there and the server has loaded it (else CREATE EXTENSION would end the
-- session). `timescaledb.*` settings exist only when loaded.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
   AND EXISTS (SELECT FROM pg_settings WHERE name LIKE 'timescaledb.%');

-- name: create_timescale
-- Where the role may; a database without it works as well.
CREATE EXTENSION IF NOT EXISTS timescaledb;
