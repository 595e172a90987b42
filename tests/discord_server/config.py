"""Everything a scenario can tune, with the defaults of the real service.

Owns the numbers and where the API description lies. Must not know what they are used for.
Durations are seconds, sizes bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
REPOSITORY = Path(__file__).resolve().parents[2]


def find_openapi() -> Path | None:
    """Find Discord's OpenAPI description; None where it is absent, and schema checks are off.

    The file is Discord's, and 1 MB: it is no part of this repository. It is looked for at
    $DISCORD_OPENAPI, else beside the checkout.
    """
    beside = REPOSITORY.parent / "shared" / "discord" / "openapi.json"
    path = Path(os.environ.get("DISCORD_OPENAPI") or beside)
    return path if path.is_file() else None


@dataclass
class Config:
    """The emulator's settings; tests may change them while it runs."""

    token: str = "emulator.bot.token"
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    openapi: Path | None = field(default_factory=find_openapi)
    # Also check the emulator's own answers against the description; for its own tests.
    validate_responses: bool = False

    # Multiplies every duration Discord imposes: the four below and the rate-limit windows.
    time_scale: float = 1.0
    ack_deadline: float = 3.0
    interaction_lifetime: float = 900.0
    resume_window: float = 120.0
    cdn_url_lifetime: float = 86400.0

    heartbeat_interval: float = 41.25  # not scaled: the bot is told it in HELLO
    attachment_size_limit: int = 10 * MIB
    request_size_limit: int = 25 * MIB
    global_rate: tuple[int, float] = (50, 1.0)  # requests, per seconds
    privileged_intents: int = 0  # those switched on in the "developer portal": none, as for a new app
    guild_locale: str = "en-US"

    def scaled(self, seconds: float) -> float:
        """Return a duration of Discord's as it is in this scenario."""
        return seconds * self.time_scale
