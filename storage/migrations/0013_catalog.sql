-- The catalog as its owners tell it: products, programs, live classes, contents, enrolments; and the keys they write with.
-- `updated_at` is the owner's own: an older one never overwrites a newer one. `changed` is the transaction that wrote the
-- row last, so that every node finds what others changed since it last looked (storage/sql/catalog.sql, catalog_changes).
CREATE TABLE products (
    product_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE programs (
    program_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE catalog_classes (
    live_class_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    catalog_product_id text COLLATE "C" NOT NULL,
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    subject text NOT NULL,
    platform text,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    is_required boolean NOT NULL DEFAULT true,
    status text NOT NULL CHECK (status IN ('scheduled', 'cancelled')),
    updated_at timestamptz NOT NULL,
    room_told boolean NOT NULL DEFAULT false,  -- the room has taken in the name, time, product and status
    told_status text,  -- the status that the room was told last
    CHECK (end_at >= start_at)
) WITH (fillfactor = 80);

CREATE INDEX catalog_classes_product ON catalog_classes (catalog_product_id, start_at);
CREATE INDEX catalog_classes_untold ON catalog_classes (live_class_id) WHERE NOT room_told;

-- NULL `updated_at`: known by its id alone (`stub`), or from before there was a catalog.
ALTER TABLE contents
    ADD COLUMN catalog_product_id text COLLATE "C",
    ADD COLUMN course_id text COLLATE "C",
    ADD COLUMN has_video boolean NOT NULL DEFAULT true,
    ADD COLUMN published boolean NOT NULL DEFAULT true,
    ADD COLUMN published_at timestamptz,
    ADD COLUMN sequential boolean NOT NULL DEFAULT false,
    ADD COLUMN requires jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(requires) = 'array'),  -- [{"kind", "id"}]
    ADD COLUMN completion_threshold double precision CHECK (completion_threshold > 0 AND completion_threshold <= 1),
    ADD COLUMN ignore_tail boolean NOT NULL DEFAULT false,
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;

CREATE INDEX contents_product ON contents (catalog_product_id, published_at);
CREATE INDEX contents_course ON contents (course_id);
CREATE INDEX contents_changed ON contents (changed);

-- [`enrolled_at` or ever, `ended_at` or for ever); ended rows stay: they say what was offered then.
CREATE TABLE enrolments (
    product_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    enrolled_at timestamptz,
    ended_at timestamptz,
    updated_at timestamptz NOT NULL,
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (product_id, user_id)
) WITH (fillfactor = 85);

CREATE INDEX enrolments_user ON enrolments (user_id, product_id);
CREATE INDEX enrolments_changed ON enrolments (changed);

-- Who may write: a key is 256 random bits, so its digest tells nothing and needs no slow hash.
CREATE TABLE write_keys (
    name text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    rights text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    sample_rate double precision NOT NULL DEFAULT 1 CHECK (sample_rate > 0 AND sample_rate <= 1)
);
