"""Messages that show an image again, beside the one of its request: noted, so that they go when the image does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import Job, ReplyTo
from bot.requests.service import Service

log = logging.getLogger(__name__)


async def note_copy(service: Service, job: Job, answer: ReplyTo, message_id: int) -> None:
    """Note a message that is about to show the image of a job; `answer` is where the interaction is answered.

    Raises:
        StoreUnavailable
    """
    # Whoever posts it is not noted: the message goes with the image, and that is somebody else's.
    address = dataclasses.replace(Address.read(answer), message_id=message_id, user_id=0)
    await service.moderation.note_copy(job, address.reply_to())


async def take_back_copies(service: Service, job: Job, delete: Callable[[ReplyTo], Awaitable[object]]) -> None:
    """Delete every such message; one that Discord does not let us delete is given up.

    Raises:
        DeliveryDelayed: Discord wants us to wait.
        StoreUnavailable
    """
    for copy in await service.moderation.copies_of(job):
        try:
            await delete(copy)
        except DeliveryImpossible as error:
            log.warning("a copy of job %s cannot be found: %s", job.id, error)
        except TROUBLES as error:
            if remedy(error) is Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            log.info("a copy of job %s is gone or out of reach: %s", job.id, error)
        await service.moderation.copy_deleted(copy)
