"""The one thread crossing: asyncio on one side, the engine on the other.

The engine is created, loaded, used and closed on a single thread named "gpu".
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bot.jobs import StopReason, StopSignal
from pipeline import Engine, GeneratedImage, ImageSpec, Progress, Reference
from pipeline.catalog.loras import demand_loras
from pipeline.catalog.models import create_engine, find_model
from pipeline.config import PipelineConfig

T = TypeVar("T")


class ThreadExecutor:
    """One engine on one thread; see `Executor` for the promises."""

    slots = 1
    models: frozenset[str] | None = None  # a model that is not there fails its job with a text that says so

    def __init__(
        self,
        config: PipelineConfig,
        *,
        stop_grace_s: float,
        make_engine: Callable[[str, PipelineConfig], Engine] = create_engine,
    ) -> None:
        self._config = config
        self._stop_grace_s = stop_grace_s
        self._make_engine = make_engine
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gpu")
        self._model: str | None = None  # these two belong to the gpu thread
        self._engine: Engine | None = None

    async def start(self, model: str) -> None:
        """Load `model` on the gpu thread."""
        await self._on_thread(lambda: self._engine_of(model).load())

    async def run(
        self,
        spec: ImageSpec,
        *,
        on_progress: Callable[[Progress], None],
        stop: StopSignal,
        source: bytes | None = None,
        references: Sequence[Reference] = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Draw `spec` on the gpu thread."""
        latest = _LatestValue(on_progress)

        def draw() -> GeneratedImage:
            if spec.loras:  # whose files may have vanished since the request
                demand_loras(spec, find_model(spec.model, self._config), self._config)
            engine = self._engine_of(spec.model)
            return engine.generate(
                spec,
                on_progress=latest.put,
                should_stop=stop.is_set,
                source=source,
                references=references,
                upcoming=upcoming,
            )

        future = self._on_thread(draw)
        try:
            # A thread cannot be cancelled: without the shield this task would end at once and the next job
            # would wait for a ghost.
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set(StopReason.SHUTDOWN)
            await asyncio.wait([future], timeout=self._stop_grace_s)
            if future.done() and not future.cancelled():
                future.exception()  # looked at, so that asyncio does not report it as never retrieved
            raise
        finally:
            latest.close()

    async def forget_prompts(self) -> None:
        """Let the engine forget prompts, on the gpu thread and so between two images."""
        await asyncio.shield(self._on_thread(self._forget_prompts))

    async def release(self) -> bool:
        """Close the engine on the gpu thread and so between two images; the next one makes another."""
        return await asyncio.shield(self._on_thread(self._close_engine))

    async def close(self, grace_s: float) -> bool:
        """Close the engine on its thread and end the thread; False if the thread hangs in a run."""
        closing = self._on_thread(self._close_engine)
        done, _ = await asyncio.wait([closing], timeout=grace_s)
        self._pool.shutdown(wait=bool(done))
        return bool(done)

    def _on_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        # run_in_executor does not carry context variables: log lines of the gpu thread would lack their job.
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._pool, context.run, call)

    def _forget_prompts(self) -> None:
        if self._engine is not None:
            self._engine.forget_prompts()

    def _close_engine(self) -> bool:
        """Close the engine. Returns whether there was one."""
        engine, self._engine, self._model = self._engine, None, None
        if engine is not None:
            engine.close()
        return engine is not None

    def _engine_of(self, model: str) -> Engine:
        """The loaded engine of `model`; runs on the gpu thread. Two models never share the memory."""
        if self._engine is None or self._model != model:
            engine = self._make_engine(model, self._config)  # loads nothing; if that fails, the one that is there stays
            self._close_engine()
            self._engine, self._model = engine, model
        return self._engine


class _LatestValue:
    """Carries progress from the gpu thread to a callback on the loop, dropping all but the newest."""

    def __init__(self, deliver: Callable[[Progress], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._lock = threading.Lock()  # whether there is a value, and thereby a call to come, is asked on both sides
        self._value: Progress | None = None
        self._is_closed = False

    def put(self, value: Progress) -> None:
        """Called on the gpu thread."""
        with self._lock:
            is_scheduled = self._value is not None
            self._value = value
        if not is_scheduled:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is watching any more
                self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            value, self._value = self._value, None
        if value is not None and not self._is_closed:
            self._deliver(value)

    def close(self) -> None:
        """Late progress is swallowed from here on."""
        self._is_closed = True
