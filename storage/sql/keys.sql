-- name: create_write_key
-- A name that is taken, and one key too many, make no row and take no number: the caller tells which it was by asking for the name.
INSERT INTO write_keys (name, digest, rights, created_at, expires_at, sample_rate, xapi_home_pages)
SELECT $1, $2, $3::text[], $4::timestamptz, $5::timestamptz, $6::double precision, $8::text[]
 WHERE (SELECT count(*) FROM write_keys) < $7 AND NOT EXISTS (SELECT FROM write_keys WHERE name = $1)
ON CONFLICT (name) DO NOTHING
RETURNING name;

-- name: write_key
-- By its name.
SELECT name, digest, rights, created_at, expires_at, revoked_at, sample_rate, number, xapi_home_pages
  FROM write_keys WHERE name = $1;

-- name: write_keys
-- All of them, which are not many: revoked and expired ones too, since their bearers are told so.
SELECT name, digest, rights, created_at, expires_at, revoked_at, sample_rate, number, xapi_home_pages
  FROM write_keys ORDER BY name LIMIT $1;

-- name: revoke_write_key
-- For good; the time of the first revocation stays.
UPDATE write_keys SET revoked_at = coalesce(revoked_at, $2::timestamptz) WHERE name = $1 RETURNING revoked_at;
