"""What one stream still owes the server: samples in order, kept until acknowledged. Pure.

    add -> [ in flight | unsent ] -> acknowledge
            ^ rewind makes everything unsent again

`seq` rises by one per sample and is never given twice, whatever happens to the connection. The buffer is bounded: a
full one refuses the new sample (`BufferFull`) and changes nothing. It never forgets an older one to make room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

import msgspec

from protocol.client.errors import BufferFull
from protocol.sample import Sample


class Kept:
    """The samples of one stream that the server has not acknowledged yet."""

    def __init__(self, limit: int) -> None:
        self._samples: deque[Sample] = deque()
        self._in_flight = 0
        self.limit = limit
        self.last_seq = 0
        self.acked_seq = 0
        self.sent_seq = 0
        """The highest `seq` that was ever put on a wire: up to here the server may know more than it said."""

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def unsent_count(self) -> int:
        """Samples that are not on their way in this connection."""
        return len(self._samples) - self._in_flight

    @property
    def in_flight(self) -> int:
        """Samples sent in this connection and not acknowledged."""
        return self._in_flight

    def oldest(self) -> Sample | None:
        """The sample that has waited longest."""
        return self._samples[0] if self._samples else None

    def add(self, make: Callable[[int], Sample]) -> Sample:
        """Number and keep a new sample: `make(seq)` builds it. Raises `BufferFull`."""
        if len(self._samples) >= self.limit:
            raise BufferFull(self.limit)
        sample = make(self.last_seq + 1)
        self.last_seq = sample.seq
        self._samples.append(sample)
        return sample

    def unsent(self, most: int) -> list[Sample]:
        """The oldest samples to send next."""
        return list(islice(self._samples, self._in_flight, self._in_flight + most))

    def sent(self, batch: list[Sample]) -> int:
        """`batch` (from `unsent`) is on its way. Returns how many of it were sent before."""
        again = sum(1 for sample in batch if sample.seq <= self.sent_seq)
        self._in_flight += len(batch)
        self.sent_seq = max(self.sent_seq, batch[-1].seq)
        return again

    def rewind(self) -> None:
        """Whatever was on its way may be lost: send everything again."""
        self._in_flight = 0

    def acknowledge(self, seq: int) -> list[Sample]:
        """Everything up to `seq` is durable: forget it. Returns what was forgotten; a repeat returns nothing."""
        done: list[Sample] = []
        while self._samples and self._samples[0].seq <= seq:
            done.append(self._samples.popleft())
        self._in_flight = max(0, self._in_flight - len(done))
        if done:
            self.acked_seq = done[-1].seq
        return done

    def continue_from(self, last_seq: int) -> None:
        """A session that a former life of this client began has numbers up to `last_seq`: go on behind them.

        What was sampled before that was known has never been sent, and is numbered anew.
        """
        shift = last_seq + 1 - self._samples[0].seq if self._samples else last_seq - self.last_seq
        if shift <= 0:
            return
        self._samples = deque(msgspec.structs.replace(one, seq=one.seq + shift) for one in self._samples)
        self.last_seq += shift
        self.acked_seq = max(self.acked_seq, last_seq)

    def forget_before(self, at_ms: int) -> list[Sample]:
        """Give up samples older than `at_ms` (client clock): only ever because the server refused them by age."""
        gone: list[Sample] = []
        while self._samples and self._samples[0].at < at_ms:
            gone.append(self._samples.popleft())
        self._in_flight = 0
        return gone
