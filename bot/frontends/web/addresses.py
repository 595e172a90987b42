"""The addresses of pictures on the page: nobody can guess one, and it leads nowhere once its picture is gone."""

from __future__ import annotations

import secrets
from pathlib import Path

from bot.errors import JobNotFound
from bot.frontends.web.identity import keyed_hash
from bot.jobs import Job
from bot.requests.erased import check_not_erased
from bot.requests.service import Service


class PictureAddresses:
    """Makes addresses and reads them; `secret` is that of the page."""

    def __init__(self, service: Service, secret: str) -> None:
        self._service = service
        self._secret = secret

    async def of(self, job: Job, kind: str) -> str | None:
        """Return the path of a picture on the page, as `png` or, small, as `webp`; None if its file is gone."""
        if await self._service.image_file(job) is None:
            return None
        return f"/pictures/{keyed_hash(self._secret, str(job.id))}/{job.id}.{kind}"

    async def file(self, key: str, job_id: int) -> Path | None:
        """Return the picture behind an address that `of` made; None for any other.

        Raises:
            PictureErased, PictureRemoved
        """
        if not secrets.compare_digest(key.encode(), keyed_hash(self._secret, str(job_id)).encode()):
            return None
        try:
            job = await self._service.job(job_id)
        except JobNotFound:
            return None
        check_not_erased(job)
        return await self._service.image_file(job)
