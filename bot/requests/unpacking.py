"""The images of requests, unpacked one after the other. Knows no limits of people but its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bot.errors import AlreadyUnpacking
from bot.jobs import Request, UserKey
from bot.requests.inputs import Inputs, unpack_inputs

MAX_UNPACKING: Final = 8  # requests that wait for each other


class Unpacking:
    """Whose images are being unpacked; no person has more than one request waiting."""

    def __init__(self) -> None:
        self.people: set[UserKey] = set()
        # One thread, also when the caller gave up: unpacking takes up to half a gigabyte.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unpack")

    async def of(self, request: Request) -> Inputs:
        """Read the images that a request needs.

        Raises:
            AlreadyUnpacking: this person waits already, or too many do.
            InvalidSpec: a file cannot be used.
        """
        if request.user in self.people or len(self.people) >= MAX_UNPACKING:
            raise AlreadyUnpacking
        self.people.add(request.user)
        try:
            return await unpack_inputs(request, self._thread)
        finally:
            self.people.discard(request.user)
