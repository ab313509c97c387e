"""What a client can do."""

from __future__ import annotations

from service.operations.access import Access
from service.operations.batches import Batches
from service.operations.console import Console
from service.operations.following import Following
from service.operations.health import Health
from service.operations.jobs import Jobs
from service.operations.parts import NOBODY, Caller, Parts
from service.operations.submissions import Submissions
from service.operations.timeline import Timelines


class Operations:
    """The use cases, for one caller. Errors are those of ``service.errors``."""

    def __init__(self, parts: Parts, caller: Caller = NOBODY) -> None:
        self._parts = parts
        self.caller = caller
        self.access = Access(parts.store)
        self.catalogue = parts.catalogue
        self.settings = parts.settings
        self.submissions = Submissions(parts, caller)
        self.batches = Batches(parts, caller)
        self.jobs = Jobs(parts, caller)
        self.console = Console(parts, caller)
        self.following = Following(parts, caller)
        self.timelines = Timelines(parts, caller)
        self.health = Health(parts, caller)

    def of(self, caller: Caller) -> Operations:
        """The same, for another caller."""
        return Operations(self._parts, caller)

    def now_ms(self) -> int:
        return self._parts.clock.now_ms()
