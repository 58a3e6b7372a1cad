-- How long the start of an app session is known to have been under way: `clock_offset_ms` is so much too large. It only
-- grows, and moves no message: those are known by their time. Samples are so much earlier (decision 0011).
ALTER TABLE mobile_sessions ADD COLUMN lag_ms bigint NOT NULL DEFAULT 0 CHECK (lag_ms >= 0);
