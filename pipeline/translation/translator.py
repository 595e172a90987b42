"""`Translator`: puts prompts into English, one at a time, on a thread of its own that loads the language model.

The model is loaded for the first text and unloaded after some minutes without one. What was translated is remembered
in memory, and nowhere else; no text reaches the log. Knows no people and no event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from cachetools import LRUCache

from pipeline.translation.answers import Fault, NotTranslated, checked
from pipeline.translation.foreign_text import replaced
from pipeline.translation.instruction import beginning, ending, most_tokens
from pipeline.translation.translator_card import TranslatorCard, flaws_of, paths_of

log = logging.getLogger(__name__)

IDLE_S: Final = 600.0
MAX_WAITING: Final = 8
MAX_REMEMBERED: Final = 256
AGAIN_S: Final = 300.0  # after the language model could not be loaded
NICENESS: Final = 10  # drawing goes first

IsOver = Callable[[], bool]


class Answer(Protocol):
    """What a language model said; `is_finished` unless it was cut."""

    @property
    def text(self) -> str: ...

    @property
    def is_finished(self) -> bool: ...


class Speaker(Protocol):
    """A loaded language model; see `language_model.LanguageModel`."""

    def answer(self, beginning: str, ending: str, *, most_tokens: int, is_over: IsOver) -> Answer:
        """Go on with a text. Raises whatever went wrong; whatever it likes if `is_over`."""


class Memo(NamedTuple):
    """What is remembered of a translation: the text, and whether Han was left as it is."""

    text: str
    reads_han: bool


@dataclass(frozen=True, slots=True)
class _Wish:
    memo: Memo
    until: float
    future: Future[str] = field(default_factory=Future)


class Translator:
    """Translates what is not English in a prompt. Its methods may be called from any thread."""

    def __init__(
        self,
        load: Callable[[IsOver], Speaker],
        *,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` loads the language model, on the translator's thread; given what says that nobody waits any more."""
        self._load = load
        self._idle_s = idle_s
        self._clock = clock
        self._wishes: deque[_Wish] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._memory: LRUCache[Memo, str] = LRUCache(MAX_REMEMBERED)
        self._forgets = 0  # how often everything was forgotten: what was begun before is not remembered
        self._is_closed = False
        self._unusable_until = -1.0

    @property
    def is_loaded(self) -> bool:
        """Whether its thread runs: the language model is loaded, or about to be."""
        return self._thread is not None

    def ask(self, prompt: str, *, within_s: float, reads_han: bool = False) -> Future[str]:
        """Have a prompt translated within so many seconds; returns at once.

        The future raises NotTranslated. Whoever knows that nothing is foreign need not ask.
        """
        memo = Memo(prompt, reads_han)
        wish = _Wish(memo, self._clock() + within_s)
        with self._changed:
            if (known := self._memory.get(memo)) is not None:
                wish.future.set_result(known)
            elif (fault := self._fault()) is not None:
                wish.future.set_exception(NotTranslated(fault))
            else:
                self._wishes.append(wish)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="translator", daemon=True)
                    self._thread.start()
                self._changed.notify()
        return wish.future

    def forget(self) -> None:
        """Drop what is remembered of prompts."""
        with self._changed:
            self._memory.clear()
            self._forgets += 1

    def close(self) -> None:
        """Stop within a token, and translate nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _fault(self) -> Fault | None:
        if self._is_closed:
            return Fault.CLOSED
        if self._clock() < self._unusable_until:
            return Fault.UNUSABLE
        return Fault.BUSY if len(self._wishes) >= MAX_WAITING else None

    # ── on its thread ───────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        _step_back()
        speaker: Speaker | None = None
        while (wish := self._next()) is not None:
            if not wish.future.set_running_or_notify_cancel():
                continue
            forgets = self._forgets
            try:
                speaker = speaker or self._loaded(wish)
                translation = self._translate(speaker, wish)
            except NotTranslated as error:
                log.info("a prompt was not translated: %s", error)
                wish.future.set_exception(error)
            except Exception as error:  # noqa: BLE001 - of torch, or of damaged files; its text may hold the prompt
                log.warning("a prompt was not translated: %s", type(error).__name__)
                wish.future.set_exception(NotTranslated(Fault.UNUSABLE))
            else:
                with self._changed:
                    if forgets == self._forgets:
                        self._memory[wish.memo] = translation
                wish.future.set_result(translation)

    def _next(self) -> _Wish | None:
        """Wait for the next text; None ends the thread, and with it the language model goes."""
        with self._changed:
            self._changed.wait_for(lambda: self._wishes or self._is_closed, timeout=self._idle_s)
            if self._wishes and not self._is_closed:
                return self._wishes.popleft()
            for wish in self._wishes:
                if wish.future.set_running_or_notify_cancel():
                    wish.future.set_exception(NotTranslated(Fault.CLOSED))
            self._wishes.clear()
            self._thread = None
            return None

    def _is_over(self, wish: _Wish) -> bool:
        return self._is_closed or self._clock() >= wish.until or wish.future.cancelled()

    def _loaded(self, wish: _Wish) -> Speaker:
        """Load the language model, also if the one who asked does not wait that long: the next one finds it."""
        begun = self._clock()
        try:
            speaker = self._load(lambda: self._is_closed)
        except Exception as error:
            if not self._is_closed:
                self._unusable_until = self._clock() + AGAIN_S
                log.warning("prompts are not translated: the language model cannot be loaded: %s", error)
            raise NotTranslated(Fault.CLOSED if self._is_closed else Fault.UNUSABLE) from error
        log.info("the language model that translates was loaded in %.1f s", self._clock() - begun)
        if self._is_over(wish):
            with contextlib.suppress(Exception):
                speaker.answer(beginning(), ending(""), most_tokens=1, is_over=lambda: self._is_closed)
        return speaker

    def _translate(self, speaker: Speaker, wish: _Wish) -> str:
        def translate(text: str) -> str:
            try:
                answer = speaker.answer(
                    beginning(), ending(text), most_tokens=most_tokens(text), is_over=lambda: self._is_over(wish)
                )
            except Exception as error:
                if self._is_over(wish):
                    raise NotTranslated(Fault.CLOSED if self._is_closed else Fault.LATE) from error
                raise
            return checked(text, answer.text, is_finished=answer.is_finished)

        if self._is_over(wish):
            raise NotTranslated(Fault.LATE)
        return replaced(wish.memo.text, translate, reads_han=wish.memo.reads_han)


def translator_of(card: TranslatorCard, models_dir: Path) -> Translator | None:
    """Return the translator of a language model; None if its files are not there, or not whole."""
    if flaws_of(card, models_dir):
        return None
    paths = paths_of(card, models_dir)

    def load(is_over: IsOver) -> Speaker:
        # By name, since both lead to torch, which only this thread is to wait for; OpenMP reads the environment then.
        setup: Any = import_module("pipeline.runtime.process_setup")
        setup.set_environment()
        module: Any = import_module("pipeline.translation.language_model")
        speaker: Speaker = module.LanguageModel(paths, is_over=is_over)
        return speaker

    return Translator(load)


def _step_back() -> None:
    """Lower the priority of this thread, and of those that torch starts from it, where the system can."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
