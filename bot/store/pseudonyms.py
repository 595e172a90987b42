"""Names for people that no id can be read from: keyed hashes, for what outlives their erasure and for the log.

The key is random and stored in the database. Whoever has it could try every id that there is, so a pseudonym hides
somebody from a reader of the log or of a list of bans, not from the operator.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, Self

from bot.jobs import UserKey
from bot.store.key_value_store import SettingStore

KEY_SETTING: Final = "privacy.pseudonym_key"
KEY_BYTES: Final = 32
LOG_CHARS: Final = 8  # enough to tell the people of a server apart


class Pseudonyms:
    """The pseudonyms of one database."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    async def open(cls, settings: SettingStore) -> Self:
        """Read the key; make one if there is none, or if it is damaged.

        Raises:
            StoreUnavailable
        """
        stored = await settings.get(KEY_SETTING)
        try:
            key = bytes.fromhex(stored or "")
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            key = secrets.token_bytes(KEY_BYTES)
            await settings.set(KEY_SETTING, key.hex())
        return cls(key)

    def of(self, user: UserKey) -> str:
        """Return the pseudonym of a person: 64 hexadecimal digits."""
        return pseudonym_of(self._key, user.frontend, user.id)

    def short(self, user: UserKey) -> str:
        """Return the first digits of it, for the log."""
        return self.of(user)[:LOG_CHARS]


def pseudonym_of(key: bytes, frontend: str, user_id: str) -> str:
    """Return the pseudonym of somebody under a key."""
    return hmac.new(key, f"{frontend}:{user_id}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
