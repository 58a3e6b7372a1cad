-- name: put_quarantine
-- The newest $6 stay; the one that is being put is not among those that the subquery sees.
WITH oldest AS (
    DELETE FROM quarantine WHERE id <= (SELECT id FROM quarantine ORDER BY id DESC OFFSET $6::bigint - 1 LIMIT 1)
)
INSERT INTO quarantine (kind, key, at, reason, event) VALUES ($1, $2, $3, $4, $5);
