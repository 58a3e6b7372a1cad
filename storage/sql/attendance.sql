-- name: attendance_class
-- A class as catalog, owner and room tell it together (learning-api.md, reading 2): the owner's times, else the room's.
SELECT i.id AS live_class_id, coalesce(c.catalog_product_id, k.catalog_product_id, r.product_id),
       coalesce(c.name, r.name), c.subject, c.program_id, coalesce(c.start_at, r.scheduled_start),
       coalesce(c.end_at, r.scheduled_end), coalesce(k.start_at, r.started_at), coalesce(k.end_at, r.ended_at),
       coalesce(r.state = 'live', false), coalesce(r.state = 'cancelled' OR c.status = 'cancelled', false)
  FROM (SELECT $1::text AS id) AS i
  LEFT JOIN rooms AS r ON r.room_id = i.id
  LEFT JOIN catalog_classes AS c ON c.live_class_id = i.id
  LEFT JOIN classes AS k ON k.live_class_id = i.id
 WHERE r.room_id IS NOT NULL OR c.live_class_id IS NOT NULL OR k.live_class_id IS NOT NULL;

-- name: attendance_classes
-- A page of a product's classes that began in [$2, $3), by their start and id, behind ($4, $5). A class belongs to the
-- catalog's product, else the owner's, else the room's.
SELECT f.id, f.start_at
  FROM (
        SELECT i.id, coalesce(c.start_at, r.scheduled_start, k.start_at, r.started_at) AS start_at
          FROM (SELECT live_class_id AS id FROM catalog_classes WHERE catalog_product_id = $1
                 UNION
                SELECT live_class_id FROM classes WHERE catalog_product_id = $1
                 UNION
                SELECT room_id FROM rooms WHERE product_id = $1) AS i
          LEFT JOIN rooms AS r ON r.room_id = i.id
          LEFT JOIN catalog_classes AS c ON c.live_class_id = i.id
          LEFT JOIN classes AS k ON k.live_class_id = i.id
         WHERE coalesce(c.catalog_product_id, k.catalog_product_id, r.product_id) = $1
       ) AS f
 WHERE f.start_at >= $2::timestamptz AND f.start_at < $3::timestamptz
   AND (f.start_at, f.id) > ($4::timestamptz, $5::text)
 ORDER BY f.start_at, f.id
 LIMIT $6;

-- name: attendance_page
-- A page of those who were in a class, by id, behind $2.
SELECT user_id, name, role, first_join, last_leave, camera_ms, microphone_ms, screen_ms
  FROM attendance
 WHERE room_id = $1 AND user_id > $2
 ORDER BY user_id
 LIMIT $3;

-- name: presences_of_learners
-- All stays in a class of the learners behind $2, up to $3.
SELECT room_id, user_id, number, joined_at, left_at, source, device_id, open, disconnect_reason
  FROM presence_intervals
 WHERE room_id = $1 AND user_id > $2 AND user_id <= $3
 ORDER BY user_id, joined_at, number;
