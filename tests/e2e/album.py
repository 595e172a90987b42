"""What `tests.e2e.message_pictures` looks at messages with: an album of states, and people who wait for them.

Every helper waits for the state that it is named after, so that a state which no longer exists ends the run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser

from tests.discord_server import Discord, MessageView, Use
from tests.discord_server.screenshots import DESKTOP_PX, shoot
from tests.discord_server.world import Channel, User

CLOCK: Final = "12:00"
LONG: Final = 20  # steps, for what is to be seen while it is drawn
PATIENCE_S: Final = 90.0  # for the model to be loaded, beside whatever else this machine does
CAPTION: Final = "font-size:13px;font-weight:600;color:#949ba4;padding:0 16px;margin:22px 0 6px;text-transform:none"

People = Callable[[str], "Person"]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A state of a message, or an opened form, at the moment when it was seen."""

    caption: str
    views: tuple[MessageView, ...] = ()
    modal: dict[str, Any] | None = None
    at: float


class Album:
    """The states that were seen, by picture."""

    def __init__(self, discord: Discord) -> None:
        self.discord = discord
        self.shots: dict[str, list[Shot]] = {}

    def add(self, picture: str, caption: str, *views: MessageView, modal: dict[str, Any] | None = None) -> None:
        """Put a state into a picture, below those that are there."""
        print(f"{picture}: {caption}", flush=True)  # noqa: T201 - minutes go by
        shot = Shot(caption=caption, views=views, modal=modal, at=time.time())
        self.shots.setdefault(picture, []).append(shot)

    def html(self, shots: Sequence[Shot], viewer: User) -> str:
        """Make a page of states, each as it was at its own moment, with its caption."""
        body = []
        for shot in shots:
            page = self.discord.html(shot.views, viewer, modal=shot.modal, now=shot.at, clock=CLOCK)
            head, _, rest = page.partition("<main>")
            inner = rest.partition("</main>")[0]
            body.append(f'<div style="{CAPTION}">{shot.caption}</div>{inner}' if shot.caption else inner)
        return f"{head}<main>{''.join(body)}</main></body></html>"

    async def save(
        self, browser: Browser, path: Path, shots: Sequence[Shot], viewer: User, *, width_px: int = DESKTOP_PX
    ) -> None:
        """Write the picture of a page."""
        await shoot(browser, self.html(shots, viewer), path, width_px=width_px)


# ── people ──────────────────────────────────────────────────────────────────────────────────────────


class Person:
    """Somebody at a server, who waits for what they see."""

    def __init__(self, discord: Discord, user: User, channel: Channel | None = None) -> None:
        self.discord, self.user = discord, user
        self.channel = channel or discord.channel

    async def use(self, command: str, **options: Any) -> Use:
        """Use a command."""
        return await self.discord.slash(self.user, self.channel, command, **options)

    async def ask(self, command: str, **options: Any) -> MessageView:
        """Use a command that answers privately."""
        return await answer(await self.use(command, **options))

    async def imagine(self, prompt: str, **options: Any) -> Use:
        """Ask for an image."""
        return await self.use("imagine", prompt=prompt, **options)

    async def finished(self, prompt: str, **options: Any) -> MessageView:
        """Ask for an image and wait for it."""
        return await finished(await self.imagine(prompt, **options))

    async def press(self, message: MessageView, word: str) -> Use:
        """Press the button with this word on it."""
        label = next(each["label"] for each in message.buttons if word in each["label"])
        return await self.discord.click(message, label, self.user)


async def answer(use: Use) -> MessageView:
    """Wait for a private answer."""
    return await use.wait(lambda message: message.ephemeral and not message.loading, timeout=PATIENCE_S)


async def finished(use: Use) -> MessageView:
    """Wait for the end of a request that has an image."""
    return await use.wait(lambda message: message.content.startswith("✅"), timeout=PATIENCE_S)


async def finished_by(use: Use, mark: str) -> MessageView:
    """Wait for a message for everybody that begins with a mark and has an image."""
    return await use.wait(lambda seen: seen.content.startswith(mark) and bool(seen.images), timeout=PATIENCE_S)


def is_cancellable(message: MessageView) -> bool:
    """Whether a request is unfinished."""
    return any(each["label"] == "Cancel" for each in message.buttons)


def is_under_way(message: MessageView) -> bool:
    """Whether an image is being drawn and can almost be guessed."""
    step = re.search(r"· step (\d+) of", message.content)
    return step is not None and int(step[1]) >= LONG // 3


async def says(use: Use, *words: str) -> MessageView:
    """Wait until the message of a request says all of this above its embed."""

    def fits(message: MessageView) -> bool:
        return all(word in message.content for word in words)

    return await use.wait(fits, timeout=PATIENCE_S)
