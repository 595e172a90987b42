"""Loops that nothing from outside may end: an error in one turn is logged, and the next turn comes a little later.

Only what no further turn can mend gets out: the operator has to change something, or the engine needs a fresh process.
Knows nothing of what is done in a turn.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from bot.deadline import Deadline
from bot.errors import OperatorError, StoreUnavailable
from bot.retry import Backoff
from pipeline.errors import EngineDead

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0


async def supervise(
    part: str, turn: Callable[[], Awaitable[bool]], deadline: Deadline, *, backoff: Backoff | None = None
) -> None:
    """Take turn after turn until one returns False: there is nothing more to do.

    After an error the pause before the next turn doubles with every further one. An error is logged whole the first
    time, under an id, and by its id while it repeats.

    Raises:
        OperatorError, EngineDead
    """
    backoff = backoff or Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
    known = ("", "")
    while True:
        try:
            if not await turn():
                return
        except (OperatorError, EngineDead):
            raise
        except StoreUnavailable as error:
            log.error("%s: the database cannot be used: %s", part, error)
        except Exception as error:
            kind, error_id = f"{type(error)}: {error}", known[1]
            if kind != known[0]:
                known = kind, error_id = kind, secrets.token_hex(4)
                log.error("%s: error %s, it goes on", part, error_id, exc_info=error)
            else:
                log.error("%s: error %s again", part, error_id)
        else:
            known = ("", "")
            backoff.reset()
            continue
        await deadline.pause(backoff.next_s())
