-- What is to be published, written with the fact that it tells. A row goes when the broker has confirmed it.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- in order per room: one writer at a time has a room
    room_id text COLLATE "C" NOT NULL,
    event_name text NOT NULL,
    exchange text NOT NULL CHECK (exchange IN ('classes', 'activity', 'liveclass')),  -- which of the settings names it
    routing_key text NOT NULL,
    message_id uuid NOT NULL DEFAULT gen_random_uuid(),
    body bytea NOT NULL,  -- JSON, as it is sent
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,  -- NULL: at once
    failure text
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000
);

CREATE INDEX outbox_waiting ON outbox (retry_at) WHERE retry_at IS NOT NULL;

ALTER TABLE rooms
    ADD COLUMN recording boolean NOT NULL DEFAULT false,
    ADD COLUMN streaming boolean NOT NULL DEFAULT false,
    ADD COLUMN recording_failure text,
    ADD COLUMN ends_told integer NOT NULL DEFAULT 0 CHECK (ends_told >= 0);
ALTER TABLE presence_intervals ADD COLUMN disconnect_reason text;
ALTER TABLE attendance
    ADD COLUMN camera_ms bigint NOT NULL DEFAULT 0 CHECK (camera_ms >= 0),
    ADD COLUMN microphone_ms bigint NOT NULL DEFAULT 0 CHECK (microphone_ms >= 0),
    ADD COLUMN screen_ms bigint NOT NULL DEFAULT 0 CHECK (screen_ms >= 0),
    ADD COLUMN talk_ms bigint NOT NULL DEFAULT 0 CHECK (talk_ms >= 0),
    ADD COLUMN hand_raises integer NOT NULL DEFAULT 0 CHECK (hand_raises >= 0),
    ADD COLUMN polls_answered integer NOT NULL DEFAULT 0 CHECK (polls_answered >= 0),
    ADD COLUMN telephone boolean NOT NULL DEFAULT false;
