-- Pieces of a day each, compressed when a week old. Ordered by user, so that a learner is found without unpacking all.
SELECT create_hypertable(
    'collector_events', 'at',
    chunk_time_interval => INTERVAL '1 day', create_default_indexes => false, migrate_data => true
);

-- Compression is not in the Apache edition; without it everything works and takes more room.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        ALTER TABLE collector_events SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'kind',
            timescaledb.compress_orderby = 'user_id, at'
        );
        PERFORM add_compression_policy('collector_events', INTERVAL '7 days');
    END IF;
END
$$;
