# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What moving the content of a disk cost."""

from __future__ import annotations

import dataclasses
import time


@dataclasses.dataclass
class Transfer:
    """Counters of one transfer, in bytes. The clock starts when it is made."""

    bytes_total: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_zero: int = 0
    bytes_reused: int = 0
    transport: str = "file"
    transport_reason: str = "local file"
    seconds: float = 0.0
    started: float = dataclasses.field(default_factory=time.monotonic, repr=False)

    def finish(self) -> Transfer:
        """Stop the clock."""
        self.seconds = time.monotonic() - self.started
        return self

    def as_dict(self) -> dict[str, object]:
        """The `transfer` value of module results; rate is bytes of disk per second."""
        rate = self.bytes_total / self.seconds if self.seconds else 0
        facts = dataclasses.asdict(self)
        del facts["started"]
        return {**facts, "seconds": round(self.seconds, 3), "rate": int(rate)}
