-- What other systems tell of classes, quizzes and exams (events.md). A key is a fact's natural key; `told_at` is the
-- message's own time, which decides between two tellings of one fact, and NULL where the message had none.
-- `required_told_at` is the same for `is_required` alone, which a later telling without it leaves as it was: NULL where
-- nobody has said it, -infinity where a message without a time has.
CREATE TABLE classes (
    live_class_id text COLLATE "C" PRIMARY KEY,
    catalog_product_id text COLLATE "C",
    catalog_sku_id text COLLATE "C",
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    platform text,
    start_at timestamptz,
    end_at timestamptz,
    duration_s double precision CHECK (duration_s >= 0),
    avg_watch_time_s double precision CHECK (avg_watch_time_s >= 0),
    total_comments integer CHECK (total_comments >= 0),
    total_doubts integer CHECK (total_doubts >= 0),
    total_doubt_resolved integer CHECK (total_doubt_resolved >= 0),
    total_quiz integer CHECK (total_quiz >= 0),
    total_poll integer CHECK (total_poll >= 0),
    total_participation integer CHECK (total_participation >= 0),
    is_required boolean NOT NULL DEFAULT true,
    required_told_at timestamptz,
    told_at timestamptz,
    room_told boolean NOT NULL DEFAULT false,  -- the room has taken in when the class ended
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (end_at >= start_at)
) WITH (fillfactor = 80);

CREATE INDEX classes_product ON classes (catalog_product_id, start_at);

CREATE TABLE quizzes (
    quiz_id text COLLATE "C" NOT NULL,
    identification_id text COLLATE "C" NOT NULL,
    identification_type text COLLATE "C" NOT NULL,  -- live_class: `identification_id` is the class
    catalog_product_id text COLLATE "C",
    catalog_sku_id text COLLATE "C",
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    platform text,
    modality text,
    total_questions integer CHECK (total_questions >= 0),
    duration_s double precision CHECK (duration_s >= 0),
    total_marks double precision,
    offered_at timestamptz NOT NULL,
    is_required boolean NOT NULL DEFAULT true,
    required_told_at timestamptz,
    told_at timestamptz,
    PRIMARY KEY (quiz_id, identification_id)
);

CREATE INDEX quizzes_identification ON quizzes (identification_id);
CREATE INDEX quizzes_product ON quizzes (catalog_product_id, offered_at);

-- A learner's last answer to a quiz: the latest `answered_at` counts.
CREATE TABLE quiz_responses (
    user_id text COLLATE "C" NOT NULL,
    quiz_id text COLLATE "C" NOT NULL,
    identification_id text COLLATE "C" NOT NULL,
    catalog_product_id text COLLATE "C",
    catalog_sku_id text COLLATE "C",
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    platform text,
    modality text,
    is_correct boolean NOT NULL,
    answered_at timestamptz NOT NULL,
    quiz_option_id text COLLATE "C",
    time_taken_s double precision CHECK (time_taken_s >= 0),
    told_at timestamptz,
    PRIMARY KEY (user_id, quiz_id, identification_id)
);

CREATE INDEX quiz_responses_user ON quiz_responses (user_id, answered_at);
CREATE INDEX quiz_responses_identification ON quiz_responses (identification_id);

CREATE TABLE exams (
    exam_id text COLLATE "C" PRIMARY KEY,
    type text COLLATE "C" NOT NULL,
    day text,
    catalog_product_id text COLLATE "C",
    catalog_sku_id text COLLATE "C",
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    platform text,
    start_at timestamptz NOT NULL,
    end_at timestamptz,
    duration_s double precision CHECK (duration_s >= 0),
    total_questions integer CHECK (total_questions >= 0),
    total_marks double precision,
    is_required boolean NOT NULL DEFAULT true,
    required_told_at timestamptz,
    told_at timestamptz,
    CHECK (end_at >= start_at)
);

CREATE INDEX exams_product ON exams (catalog_product_id, start_at);

CREATE TABLE exam_sessions (
    exam_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    start_at timestamptz,  -- a session whose start nobody told is one too
    catalog_product_id text COLLATE "C",
    catalog_sku_id text COLLATE "C",
    program_id text COLLATE "C",
    course_id text COLLATE "C",
    platform text,
    type text COLLATE "C",
    time_taken_s double precision CHECK (time_taken_s >= 0),
    total_answers integer CHECK (total_answers >= 0),
    total_correct_answers integer CHECK (total_correct_answers >= 0),
    total_questions integer CHECK (total_questions >= 0),
    total_score double precision,
    end_at timestamptz NOT NULL,
    unique_questions_submitted integer CHECK (unique_questions_submitted >= 0),
    unique_questions_corrected integer CHECK (unique_questions_corrected >= 0),
    told_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (exam_id, user_id, start_at),
    CHECK (end_at >= start_at)
);

CREATE INDEX exam_sessions_user ON exam_sessions (user_id, end_at);

-- Messages that were taken in, for a while: a redelivery is known at once. `id` rises, so the oldest are found cheaply.
CREATE TABLE amqp_messages (
    message_id text COLLATE "C" PRIMARY KEY,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- NULL where it was told by a player or by the room itself.
ALTER TABLE interactions ADD COLUMN told_at timestamptz;
ALTER TABLE study_logs ADD COLUMN told_at timestamptz;
CREATE INDEX interactions_user ON interactions (user_id, at);
