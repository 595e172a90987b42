"""A Discord of our own on loopback, and a driver that plays its users.

Owns everything the whole-bot tests need of Discord: HTTP API, gateway, CDN, users, faults and reports. Must
not know our bot: it runs as a subprocess and is told `Discord.api_base`. README.md shows a test;
driver.py is what tests hold, server.py what requests meet. Durations are seconds, sizes bytes.
"""

from tests.discord_server.commands import CommandType
from tests.discord_server.driver import (
    ClientRefused,
    Discord,
    Event,
    HarnessTimeout,
    InteractionFailed,
    MessageView,
    Permission,
    Use,
)
from tests.discord_server.messages import Upload
from tests.discord_server.procs import BotExited, BotProcess

__all__ = [
    "BotExited",
    "BotProcess",
    "ClientRefused",
    "CommandType",
    "Discord",
    "Event",
    "HarnessTimeout",
    "InteractionFailed",
    "MessageView",
    "Permission",
    "Upload",
    "Use",
]
