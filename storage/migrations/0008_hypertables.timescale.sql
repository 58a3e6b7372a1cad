-- Years of study time: pieces of a week each, compressed when a week old. Readers and writers notice nothing.
-- `migrate_data`: the extension may arrive years after the rows.
SELECT create_hypertable(
    'study_logs', 'start_timestamp',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => false, migrate_data => true
);
SELECT create_hypertable(
    'presence_intervals', 'joined_at',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => false, migrate_data => true
);

-- Compression is not in the Apache edition; without it everything works and takes more room.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        ALTER TABLE study_logs SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'user_id',
            timescaledb.compress_orderby = 'session_id, number, start_timestamp'
        );
        PERFORM add_compression_policy('study_logs', INTERVAL '7 days');
        ALTER TABLE presence_intervals SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'room_id',
            timescaledb.compress_orderby = 'user_id, number, joined_at'
        );
        PERFORM add_compression_policy('presence_intervals', INTERVAL '7 days');
    END IF;
END
$$;
