"""What is known of one learner, raw: as other systems and players told it. Times are Unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Room:
    """What the server saw of a class itself."""

    state: str
    started_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True)
class ClassEnd:
    """`liveclass.end`."""

    end_at: int
    start_at: int | None = None
    total_quiz: int | None = None
    total_poll: int | None = None


@dataclass(frozen=True)
class LiveClass:
    """A class of the catalog, and what became of it.

    Not `in_catalog`: only `told` tells of it, and its times are those of `told`.
    """

    id: str
    product: str
    start_at: int
    end_at: int
    subject: str = "Physics"
    required: bool = True
    cancelled: bool = False
    room: Room | None = None
    told: ClassEnd | None = None
    in_catalog: bool = True

    @property
    def name(self) -> str:
        return f"Class {self.id}" if self.in_catalog else self.id


@dataclass(frozen=True)
class Presence:
    class_id: str
    joined_at: int
    left_at: int
    source: str = "websocket"
    device: str = "phone"


@dataclass(frozen=True)
class Enrolment:
    """`[enrolled_at or ever, ended_at or for ever)`."""

    product: str
    enrolled_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True)
class Content:
    kind: str
    id: str
    product: str
    published: bool = True
    published_at: int | None = None
    has_video: bool = True
    duration_ms: int | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch watched without a jump: of a content, or of a class."""

    start_at: int
    end_at: int
    content: tuple[str, str] | None = None
    class_id: str | None = None
    playhead_start_ms: int = 0
    playhead_end_ms: int = 0
    verified: bool = True


@dataclass(frozen=True)
class Exam:
    id: str
    type: str
    product: str
    start_at: int
    duration_s: int


@dataclass(frozen=True)
class ExamSession:
    exam_id: str
    end_at: int
    time_taken_s: int


@dataclass(frozen=True)
class Quiz:
    """One question. `where` is a class, or whatever else `kind` (`identification_type`) says."""

    id: str
    where: str
    offered_at: int
    kind: str = "live_class"
    product: str | None = None


@dataclass(frozen=True)
class Answer:
    """Of this learner, or of another one (`mine` False)."""

    quiz: str
    where: str
    correct: bool
    at: int
    mine: bool = True


@dataclass(frozen=True)
class Interaction:
    class_id: str
    kind: str
    id: str
    at: int
    mine: bool = True


@dataclass(frozen=True)
class History:
    """Everything about one learner that happened until now."""

    products: tuple[str, ...] = ()
    classes: tuple[LiveClass, ...] = ()
    presences: tuple[Presence, ...] = ()
    enrolments: tuple[Enrolment, ...] = ()
    contents: tuple[Content, ...] = ()
    segments: tuple[Segment, ...] = ()
    exams: tuple[Exam, ...] = ()
    exam_sessions: tuple[ExamSession, ...] = ()
    quizzes: tuple[Quiz, ...] = ()
    answers: tuple[Answer, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    rated: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Asked:
    """The circumstances of a question: `[start, end)`, the learner's zone, the time, the rules of the house."""

    start: int
    end: int
    zone: str
    now: int
    attended_min_s: int = 60
    late_grace_s: int = 300
