-- Compressed when older than the range that dashboards open with (30 days) and a week: a learner's range out of compressed
-- pieces takes two to four times as long. 0008 had 7 days.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        PERFORM remove_compression_policy('study_logs', if_exists => true);
        PERFORM remove_compression_policy('presence_intervals', if_exists => true);
        PERFORM add_compression_policy('study_logs', INTERVAL '35 days');
        PERFORM add_compression_policy('presence_intervals', INTERVAL '35 days');
    END IF;
END
$$;
