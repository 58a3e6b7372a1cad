-- name: save_products
-- An older telling never overwrites a newer one; of equals the last stays. `xmax` is 0 in a row that is new, here and
-- below: the driver is told which those are.
INSERT INTO products AS t (product_id, name, updated_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (product_id) DO UPDATE
   SET (name, updated_at) = (excluded.name, excluded.updated_at)
 WHERE excluded.updated_at >= t.updated_at AND t IS DISTINCT FROM excluded
RETURNING product_id, xmax = 0;

-- name: save_programs
-- As `save_products`.
INSERT INTO programs AS t (program_id, name, updated_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (program_id) DO UPDATE
   SET (name, updated_at) = (excluded.name, excluded.updated_at)
 WHERE excluded.updated_at >= t.updated_at AND t IS DISTINCT FROM excluded
RETURNING program_id, xmax = 0;

-- name: save_catalog_classes
-- As `save_products`. What a room knows of its class is to be told to it again where it changes.
INSERT INTO catalog_classes AS t (
    live_class_id, name, catalog_product_id, program_id, course_id, subject, platform, start_at, end_at, is_required,
    status, updated_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::boolean[], $11::text[], $12::timestamptz[])
ON CONFLICT (live_class_id) DO UPDATE
   SET (name, catalog_product_id, program_id, course_id, subject, platform, start_at, end_at, is_required, status,
        updated_at, room_told) =
       (excluded.name, excluded.catalog_product_id, excluded.program_id, excluded.course_id, excluded.subject,
        excluded.platform, excluded.start_at, excluded.end_at, excluded.is_required, excluded.status,
        excluded.updated_at,
        t.room_told AND (t.name, t.catalog_product_id, t.start_at, t.end_at, t.status) =
                        (excluded.name, excluded.catalog_product_id, excluded.start_at, excluded.end_at,
                         excluded.status))
 WHERE excluded.updated_at >= t.updated_at
   AND (t.name, t.catalog_product_id, t.program_id, t.course_id, t.subject, t.platform, t.start_at, t.end_at,
        t.is_required, t.status, t.updated_at) IS DISTINCT FROM
       (excluded.name, excluded.catalog_product_id, excluded.program_id, excluded.course_id, excluded.subject,
        excluded.platform, excluded.start_at, excluded.end_at, excluded.is_required, excluded.status,
        excluded.updated_at)
RETURNING live_class_id, xmax = 0;

-- name: save_contents
-- As `save_products`; what a player made known by its id alone, and what is from before there was a catalog, is filled
-- in, whenever its owner speaks.
INSERT INTO contents AS t (
    kind, content_id, title, catalog_product_id, course_id, has_video, published, published_at, duration_ms, sequential,
    requires, completion_threshold, ignore_tail, updated_at, xapi_id, stub)
SELECT *, false FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::timestamptz[],
    $9::bigint[], $10::boolean[], $11::jsonb[], $12::double precision[], $13::boolean[], $14::timestamptz[],
    $15::text[])
ON CONFLICT (kind, content_id) DO UPDATE
   SET (title, catalog_product_id, course_id, has_video, published, published_at, duration_ms, sequential, requires,
        completion_threshold, ignore_tail, updated_at, xapi_id, stub, changed) =
       (excluded.title, excluded.catalog_product_id, excluded.course_id, excluded.has_video, excluded.published,
        excluded.published_at, excluded.duration_ms, excluded.sequential, excluded.requires,
        excluded.completion_threshold, excluded.ignore_tail, excluded.updated_at, excluded.xapi_id, false,
        pg_current_xact_id()::text::bigint)
 WHERE (t.updated_at IS NULL OR excluded.updated_at >= t.updated_at)
   AND (t.title, t.catalog_product_id, t.course_id, t.has_video, t.published, t.published_at, t.duration_ms,
        t.sequential, t.requires, t.completion_threshold, t.ignore_tail, t.updated_at, t.xapi_id,
        t.stub) IS DISTINCT FROM
       (excluded.title, excluded.catalog_product_id, excluded.course_id, excluded.has_video, excluded.published,
        excluded.published_at, excluded.duration_ms, excluded.sequential, excluded.requires,
        excluded.completion_threshold, excluded.ignore_tail, excluded.updated_at, excluded.xapi_id, false)
RETURNING kind, content_id, xmax = 0;

-- name: save_enrolments
-- As `save_products`.
INSERT INTO enrolments AS t (product_id, user_id, enrolled_at, ended_at, updated_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
ON CONFLICT (product_id, user_id) DO UPDATE
   SET (enrolled_at, ended_at, updated_at, changed) =
       (excluded.enrolled_at, excluded.ended_at, excluded.updated_at, pg_current_xact_id()::text::bigint)
 WHERE excluded.updated_at >= t.updated_at
   AND (t.enrolled_at, t.ended_at, t.updated_at) IS DISTINCT FROM
       (excluded.enrolled_at, excluded.ended_at, excluded.updated_at)
RETURNING product_id, user_id, xmax = 0;

-- name: end_enrolment
-- An enrolment that has ended keeps its end. The owner's clock may run ahead of ours: its own time never goes back.
WITH found AS (
    SELECT product_id, user_id FROM enrolments WHERE product_id = $1 AND user_id = $2 FOR UPDATE
), ended AS (
    UPDATE enrolments AS t
       SET (ended_at, updated_at, changed) =
           ($3::timestamptz, greatest(t.updated_at, $3::timestamptz), pg_current_xact_id()::text::bigint)
      FROM found
     WHERE t.product_id = found.product_id AND t.user_id = found.user_id
       AND (t.ended_at IS NULL OR t.ended_at > $3::timestamptz)
)
SELECT count(*) FROM found;

-- name: put_content_stub
-- A content that is known stays as it is.
INSERT INTO contents (kind, content_id, stub) VALUES ($1, $2, true) ON CONFLICT (kind, content_id) DO NOTHING;

-- name: content_facts
-- Several at once: who asks for many contents waits for one answer.
SELECT c.kind, c.content_id, c.title, c.catalog_product_id, c.course_id, c.has_video, c.published, c.published_at,
       c.duration_ms, c.sequential, c.requires::text, c.completion_threshold, c.ignore_tail, c.stub
  FROM unnest($1::text[], $2::text[]) AS n (kind, content_id)
  JOIN contents AS c USING (kind, content_id);

-- name: enrolment_facts
-- Several at once. With each whether nobody at all is, or ever was, enrolled in the product.
SELECT n.product_id, n.user_id, e.user_id IS NOT NULL, e.enrolled_at, e.ended_at,
       NOT EXISTS (SELECT FROM enrolments AS o WHERE o.product_id = n.product_id)
  FROM unnest($1::text[], $2::text[]) AS n (product_id, user_id)
  LEFT JOIN enrolments AS e USING (product_id, user_id);

-- name: catalog_changes
-- What changed since a horizon, and the next horizon: the oldest transaction that is still writing. What it writes may
-- become visible behind what younger ones wrote, so they are all read again. A number beyond every transaction comes
-- from a dump of another server, and says nothing.
WITH seen AS MATERIALIZED (
    SELECT pg_snapshot_xmin(now_)::text::bigint AS horizon, pg_snapshot_xmax(now_)::text::bigint AS future
      FROM pg_current_snapshot() AS now_
)
SELECT seen.horizon, news.*
  FROM seen
  LEFT JOIN LATERAL (
        (SELECT 'content' AS entity, kind AS first, content_id AS second
           FROM contents WHERE changed >= $1 AND changed < seen.future LIMIT $2)
        UNION ALL
        (SELECT 'enrolment', product_id, user_id
           FROM enrolments WHERE changed >= $1 AND changed < seen.future LIMIT $2)
       ) AS news ON true;

-- name: classes_untold
-- Classes whose room does not know of them what stands here; of these ids, or of any.
SELECT live_class_id, name, catalog_product_id, start_at, end_at, status, told_status, updated_at
  FROM catalog_classes
 WHERE NOT room_told AND ($1::text[] IS NULL OR live_class_id = ANY ($1::text[]))
 ORDER BY live_class_id
 LIMIT $2;

-- name: mark_classes_told
-- Only what the room was told: it may have been changed meanwhile. The status is noted in any case.
UPDATE catalog_classes AS t
   SET room_told = (t.name, t.catalog_product_id, t.start_at, t.end_at, t.status) =
                   (n.name, n.catalog_product_id, n.start_at, n.end_at, n.status),
       told_status = n.status
  FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
       AS n (live_class_id, name, catalog_product_id, start_at, end_at, status)
 WHERE t.live_class_id = n.live_class_id;
