"""Classes and lessons, and the systems that tell of them."""

from __future__ import annotations

from typing import Final

from server import config_values as values
from server.config_catalogue.setting import BIG, COUNT, DAY_S, DURATION, GRACE, Setting

CLASSES: Final = (
    Setting("ROLLCALL_HEARTBEAT_SECONDS", "heartbeat_s", DURATION, "10", "s", "asked of players"),
    Setting("ROLLCALL_RECONNECT_GRACE_SECONDS", "reconnect_grace_s", GRACE, "20", "s", "a drop this short never left"),
    Setting(
        "ROLLCALL_LATE_GRACE_SECONDS", "late_grace_s", GRACE, "300", "s", "later than this after the start is late"
    ),
    Setting(
        "ROLLCALL_ATTENDED_MIN_SECONDS",
        "attended_min_s",
        values.number(1, DAY_S),
        "60",
        "s",
        "presence that counts as attended",
    ),
    Setting(
        "ROLLCALL_UNKNOWN",
        "unknown",
        values.choice("refuse", "accept"),
        "refuse",
        "",
        "rooms not announced; --dev: accept",
    ),
    Setting(
        "ROLLCALL_PRESENCE_LIST_LIMIT",
        "presence_list_limit",
        COUNT,
        "500",
        "people",
        "above it learners see counts only",
    ),
    Setting("ROLLCALL_TIMEZONE", "timezone", values.timezone, "Asia/Dhaka", "", "where a day of study begins and ends"),
    Setting(
        "ROLLCALL_THEME_FILE", "theme_file", values.path, "", "", "texts that people read; none = the built-in ones"
    ),
    Setting(
        "ROLLCALL_COMPLETION_THRESHOLD",
        "completion_threshold",
        values.number(0.01, 1),
        "0.95",
        "share",
        "coverage that completes a lesson",
    ),
    Setting(
        "ROLLCALL_RETENTION_DAYS",
        "retention_days",
        values.whole(0, 36_500),
        "0",
        "days",
        "detail kept; 0 = for ever",
    ),
)

PLUGNMEET: Final = (
    Setting(
        "ROLLCALL_PLUGNMEET_KEYS",
        "plugnmeet_keys",
        values.key_pairs,
        "",
        "",
        "key:secret[,key:secret...] that sign webhooks; the first calls the API",
        secret=True,
    ),
    Setting(
        "ROLLCALL_PLUGNMEET_URL",
        "plugnmeet_url",
        values.url("https", "http"),
        "",
        "",
        "its API; none = no calls, recordings stay pending",
    ),
    Setting(
        "ROLLCALL_PLUGNMEET_ACCEPT_HEX",
        "plugnmeet_accept_hex",
        values.flag,
        "1",
        "",
        "accept webhooks of older integrations, signed by a bare HMAC",
    ),
    Setting(
        "ROLLCALL_PLUGNMEET_REPAIR_SECONDS",
        "plugnmeet_repair_s",
        DURATION,
        "60",
        "s",
        "between looks for lost webhooks of a live room",
    ),
    Setting(
        "ROLLCALL_RECORDINGS_DIR",
        "recordings_dir",
        values.path,
        "",
        "",
        "where recordings are kept; none = recordings in the data directory",
    ),
    Setting(
        "ROLLCALL_RECORDING_MAX_BYTES",
        "recording_max_bytes",
        values.whole(1, 2**53),
        "20000000000",
        "bytes",
        "a larger recording is not fetched",
    ),
    Setting(
        "ROLLCALL_RECORDINGS_S3_BUCKET",
        "recordings_s3_bucket",
        values.text,
        "",
        "",
        "keep recordings in this S3 bucket instead, as bucket or bucket/prefix",
    ),
    Setting(
        "ROLLCALL_RECORDINGS_S3_ENDPOINT",
        "recordings_s3_endpoint",
        values.url("https", "http"),
        "",
        "",
        "where an S3-compatible store is; none = Amazon's",
    ),
    Setting(
        "ROLLCALL_RECORDINGS_S3_REGION",
        "recordings_s3_region",
        values.text,
        "us-east-1",
        "",
        "region of the bucket",
    ),
    Setting("ROLLCALL_RECORDINGS_S3_KEY", "recordings_s3_key", values.text, "", "", "access key id"),
    Setting(
        "ROLLCALL_RECORDINGS_S3_SECRET",
        "recordings_s3_secret",
        values.hidden,
        "",
        "",
        "secret access key",
        secret=True,
    ),
)

RABBITMQ: Final = (
    Setting(
        "ROLLCALL_AMQP_CLASSES_EXCHANGE",
        "amqp_classes_exchange",
        values.text,
        "tenlytics_topic_exchange",
        "",
        "classes, quizzes and exams come from it; ends of classes go to it",
    ),
    Setting(
        "ROLLCALL_AMQP_TRACKING_EXCHANGE",
        "amqp_tracking_exchange",
        values.text,
        "stage_tracking_exchange",
        "",
        "finished exams come from it",
    ),
    Setting(
        "ROLLCALL_AMQP_ACTIVITY_EXCHANGE",
        "amqp_activity_exchange",
        values.text,
        "stage_tracking_topic_exchange",
        "",
        "answers and segments come from it; segments go to it",
    ),
    Setting(
        "ROLLCALL_AMQP_LIVECLASS_EXCHANGE",
        "amqp_liveclass_exchange",
        values.text,
        "stage_liveclass_exchange",
        "",
        "ends of classes in short go to it",
    ),
    Setting("ROLLCALL_AMQP_PASSIVE", "amqp_passive", values.flag, "0", "", "exchanges must exist already, as they are"),
    Setting(
        "ROLLCALL_AMQP_QUEUE_TYPE",
        "amqp_queue_type",
        values.choice("quorum", "classic"),
        "quorum",
        "",
        "of our queues; fixed once they exist",
    ),
    Setting(
        "ROLLCALL_AMQP_PREFETCH",
        "amqp_prefetch",
        values.whole(1, 10_000),
        "500",
        "messages",
        "in hand at once, not yet acked",
    ),
    Setting(
        "ROLLCALL_AMQP_DEAD_MAX",
        "amqp_dead_max",
        values.whole(1, BIG),
        "100000",
        "messages",
        "kept in rollcall.dead; beyond it the oldest go",
    ),
)
