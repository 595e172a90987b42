"""What is wrong with a request to the page, for whoever answers it. Pure."""

from __future__ import annotations


class RequestRefused(Exception):
    """The request is refused with this HTTP status; the text says why and repeats nothing of the request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text
