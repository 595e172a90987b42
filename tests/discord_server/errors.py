"""Discord's JSON errors: number, HTTP status and text, by name.

Owns the catalogue and the shape of an error answer. Must not know when an error is due.
Source: Discord's documentation, "opcodes and status codes".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# name -> (HTTP status, code, message)
CATALOG: dict[str, tuple[int, int, str]] = {
    "NOT_FOUND": (404, 0, "404: Not Found"),
    "METHOD_NOT_ALLOWED": (405, 0, "405: Method Not Allowed"),
    "UNAUTHORIZED": (401, 0, "401: Unauthorized"),
    "NOT_EMULATED": (501, 0, "501: not emulated"),
    "UNKNOWN_APPLICATION": (404, 10002, "Unknown Application"),
    "UNKNOWN_CHANNEL": (404, 10003, "Unknown Channel"),
    "UNKNOWN_GUILD": (404, 10004, "Unknown Guild"),
    "UNKNOWN_MEMBER": (404, 10007, "Unknown Member"),
    "UNKNOWN_MESSAGE": (404, 10008, "Unknown Message"),
    "UNKNOWN_USER": (404, 10013, "Unknown User"),
    "UNKNOWN_EMOJI": (400, 10014, "Unknown Emoji"),
    "UNKNOWN_WEBHOOK": (404, 10015, "Unknown Webhook"),
    "UNKNOWN_INTERACTION": (404, 10062, "Unknown interaction"),
    "TOO_MANY_REACTIONS": (400, 30010, "Maximum number of reactions reached (20)"),
    "TOO_MANY_COMMANDS": (400, 30032, "Maximum number of application commands reached"),
    "TOO_MANY_OLD_EDITS": (
        429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later",
    ),
    "ENTITY_TOO_LARGE": (413, 40005, "Request entity too large"),
    "ALREADY_ACKNOWLEDGED": (400, 40060, "Interaction has already been acknowledged."),
    "MISSING_ACCESS": (403, 50001, "Missing Access"),
    "NOT_YOUR_MESSAGE": (403, 50005, "Cannot edit a message authored by another user"),
    "EMPTY_MESSAGE": (400, 50006, "Cannot send an empty message"),
    "CANNOT_DM": (403, 50007, "Cannot send messages to this user"),
    "MISSING_PERMISSIONS": (403, 50013, "Missing Permissions"),
    "INVALID_WEBHOOK_TOKEN": (401, 50027, "Invalid Webhook Token"),
    "INVALID_FORM_BODY": (400, 50035, "Invalid Form Body"),
    "THREAD_ARCHIVED": (400, 50083, "Thread is archived"),
    "INVALID_JSON": (400, 50109, "The request body contains invalid JSON."),
    "CANNOT_REPLY": (403, 160002, "Cannot reply without permission to read message history"),
    "AUTOMOD_BLOCKED": (400, 200000, "Message was blocked by automatic moderation"),
}  # fmt: skip
NAME_OF_CODE = {code: name for name, (_, code, _) in CATALOG.items() if code}


@dataclass(frozen=True)
class Problem:
    """One broken rule at one place of a request body."""

    path: tuple[str | int, ...]
    code: str
    message: str

    def __str__(self) -> str:
        where = ".".join(map(str, self.path)) or "(body)"
        return f"{where}: {self.message} [{self.code}]"


class ApiError(Exception):
    """Ends a request with one of Discord's error answers."""

    def __init__(self, name: str, problems: Iterable[Problem] = ()) -> None:
        self.name = name
        self.status, self.code, self.message = CATALOG[name]
        self.problems = list(problems)
        super().__init__(f"{self.status} {self.code} {self.message}")

    def body(self) -> dict[str, Any]:
        """Return the answer's JSON; each problem sits at its place in a tree like the request."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        for problem in self.problems:
            node = body.setdefault("errors", {})
            for part in problem.path:
                node = node.setdefault(str(part), {})
            node.setdefault("_errors", []).append({"code": problem.code, "message": problem.message})
        return body
