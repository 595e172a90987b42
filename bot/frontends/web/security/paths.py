"""Which paths the page has, and who answers each: the one table that the gate and our routes share.

Patterns are ASCII and fit whole paths. What names a file is answered by us alone: behind `file=` Gradio fetches and
reads what it is told. What is not listed does not exist. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

JOB_ID: Final = r"[0-9]{1,18}"  # inside SQLite's integers
WORD: Final = r"[A-Za-z0-9_-]{1,64}"  # what Gradio and its clients call sessions and events
BARE_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"  # of a file, with no folder, drive or address in it
VERSION: Final = r"[0-9a-f]{16}"  # of all files that the page brings along
HOST: Final = r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_VERBS: Final = "reroll|vary|upscale|more_steps|final"  # of `bot/requests/verbs.py`
# Of Gradio's own files: neither `..` nor a hidden one.
_PIECE: Final = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}"  # no file of Gradio's has a longer name, and no system takes one


class Body(StrEnum):
    """What Gradio takes by POST; `bodies.py` knows what each may hold."""

    DIRECT = "direct"  # an event of the form
    JOIN = "join"  # `draw`, as gradio_client asks for it
    CALL = "call"  # `draw`, as curl does
    NAMED_CALL = "named call"
    RESET = "reset"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One line of the table. `GET` is good for HEAD as well."""

    method: str
    pattern: re.Pattern[str]
    route: str | None = None  # which of our routes answers; None: Gradio
    query: re.Pattern[str] | None = None  # what must stand behind the question mark; None: nothing is passed on
    body: Body | None = None  # of what is posted to Gradio


def _ours(method: str, route: str, pattern: str) -> Path:
    return Path(method=method, pattern=re.compile(pattern, re.ASCII), route=route)


def _gradio(pattern: str, *, query: str | None = None, body: Body | None = None) -> Path:
    return Path(
        method="GET" if body is None else "POST",
        pattern=re.compile(pattern, re.ASCII),
        query=None if query is None else re.compile(query, re.ASCII),
        body=body,
    )


TABLE: Final = (
    _ours("GET", "state", r"/console/state"),
    _ours("GET", "gallery", r"/console/gallery"),
    _ours("GET", "picture", rf"/console/jobs/(?P<job_id>{JOB_ID})"),
    _ours("POST", "cancel", rf"/console/jobs/(?P<job_id>{JOB_ID})/cancel"),
    _ours("POST", "draw_again", rf"/console/jobs/(?P<job_id>{JOB_ID})/(?P<verb>{_VERBS})"),
    _ours("POST", "dismiss", rf"/console/jobs/(?P<job_id>{JOB_ID})/dismiss"),
    _ours("POST", "keep", r"/console/images/keep"),
    _ours("POST", "let_go", r"/console/images/let_go"),
    _ours("POST", "erase", r"/console/images/erase"),
    _ours("GET", "zip", r"/console/images/zip"),
    _ours("GET", "help", r"/console/help"),
    _ours("GET", "own_file", rf"/console/assets/(?P<version>{VERSION})/(?P<name>{BARE_NAME})"),
    _ours("GET", "icon", r"/favicon\.ico"),
    _ours("GET", "manifest", r"/manifest\.json"),
    _ours("GET", "operator_page", r"/operator"),
    _ours("GET", "operator", r"/console/operator"),
    _ours("POST", "operator_enter", r"/console/operator/enter"),
    _ours("POST", "operator_leave", r"/console/operator/leave"),
    _ours("POST", "operator_pause", r"/console/operator/pause"),
    _ours("POST", "operator_resume", r"/console/operator/resume"),
    _ours("POST", "operator_back_up", r"/console/operator/backup"),
    _ours("POST", "operator_release", r"/console/operator/release"),
    _ours("POST", "operator_cancel", rf"/console/operator/jobs/(?P<job_id>{JOB_ID})/cancel"),
    # gradio_client asks for what `draw` returned behind `file=`: for the path, or the whole address that it once was.
    _ours(
        "GET",
        "file",
        rf"(?:/gradio_api/file=(?:https?://{HOST})?)?"
        rf"/pictures/(?P<key>[A-Za-z0-9]{{1,64}})/(?P<job_id>{JOB_ID})\.(?P<kind>png|webp)",
    ),
    _ours("POST", "upload", r"/gradio_api/upload"),
    _ours("GET", "upload_progress", r"/gradio_api/upload_progress"),
    _ours("GET", "uploaded", rf"/gradio_api/file=(?P<name>{BARE_NAME})"),
    _gradio(r"/|/config/?|/theme\.css"),
    _gradio(rf"/(?:assets|static|svelte)(?:/{_PIECE}){{1,8}}"),
    _gradio(rf"/gradio_api/(?:info/?|app_id/?|theme\.css|startup-events|heartbeat/{WORD}|call/(?:v2/)?draw/{WORD})"),
    _gradio(r"/gradio_api/queue/data", query=rf"session_hash={WORD}"),
    _gradio(r"/gradio_api/(?:run|api)/predict/?", body=Body.DIRECT),
    _gradio(r"/gradio_api/queue/join", body=Body.JOIN),
    _gradio(r"/gradio_api/call/draw/?", body=Body.CALL),
    _gradio(r"/gradio_api/call/v2/draw/?", body=Body.NAMED_CALL),
    _gradio(r"/gradio_api/reset/?", body=Body.RESET),
    _gradio(r"/gradio_api/cancel", body=Body.CANCEL),
)


Found = tuple[Path, Mapping[str, str]]  # a line of the table, and what the path of a request names


def find(method: str, path: str) -> Found | None:
    """The line for a request; None if there is no such page."""
    method = "GET" if method == "HEAD" else method
    for entry in TABLE:
        if entry.method == method and (match := entry.pattern.fullmatch(path)) is not None:
            return entry, match.groupdict()
    return None
