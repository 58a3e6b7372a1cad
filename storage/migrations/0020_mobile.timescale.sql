-- Messages in pieces of a week. Not compressed: late data and resent batches come up to a week later.
SELECT create_hypertable(
    'mobile_messages', 'at',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => false, migrate_data => true
);
