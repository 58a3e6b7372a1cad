-- Images of mobile sessions (mobile-ingest.md, "images"): rows here, bytes in the store of files, one file a request.
--
-- A file is `growing` from before its bytes are put away until its rows are there, `kept` after that, and `doomed` when
-- nothing is in it that anybody may see. Doomed files, and those that grew for too long, are swept: so neither a crash
-- between bytes and rows nor an erasure leaves bytes behind that nobody knows of.

CREATE TABLE mobile_image_files (
    file uuid PRIMARY KEY,  -- makes its name in the store of files
    session_id bigint NOT NULL,  -- no reference: the file outlives the session until it is swept
    images integer NOT NULL CHECK (images > 0),
    bytes bigint NOT NULL CHECK (bytes > 0),
    state text NOT NULL DEFAULT 'growing' CHECK (state IN ('growing', 'kept', 'doomed')),
    since timestamptz NOT NULL DEFAULT now()  -- in this state
);

CREATE INDEX mobile_image_files_session ON mobile_image_files (session_id);
CREATE INDEX mobile_image_files_swept ON mobile_image_files (since) WHERE state <> 'kept';

CREATE TABLE mobile_images (
    session_id bigint NOT NULL REFERENCES mobile_sessions ON DELETE CASCADE,
    hash text COLLATE "C" NOT NULL,  -- what the client calls it, made safe
    project text COLLATE "C" NOT NULL,
    file uuid NOT NULL REFERENCES mobile_image_files,
    start integer NOT NULL CHECK (start >= 0),  -- its bytes within the file
    size_bytes integer NOT NULL CHECK (size_bytes > 0),
    media text NOT NULL CHECK (media IN ('image/png', 'image/jpeg', 'image/webp')),
    frame boolean NOT NULL,  -- of the screen's film, out of a `batch`
    at timestamptz,  -- when the screen looked so, by the client's clock; frames only
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, hash)
);

CREATE INDEX mobile_images_file ON mobile_images (file);
CREATE INDEX mobile_images_newest ON mobile_images (project, stored_at DESC) WHERE NOT frame;
CREATE INDEX mobile_images_time ON mobile_images USING brin (stored_at);

CREATE FUNCTION doom_mobile_image_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mobile_image_files AS f
       SET state = 'doomed', since = now()
     WHERE f.file IN (SELECT file FROM gone)
       AND NOT EXISTS (SELECT FROM mobile_images AS i WHERE i.file = f.file);
    RETURN NULL;
END
$$;

CREATE TRIGGER doom_files AFTER DELETE ON mobile_images REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION doom_mobile_image_files();
