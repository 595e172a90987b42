"""The HTML of the operator's corner, in one language: the places that `assets/operator.js` fills."""

from __future__ import annotations

import json
from html import escape
from typing import Final

from bot.frontends.web.own_files import CORNER_STYLE, address_of
from bot.frontends.web.security.operators import MAX_PASSWORD_CHARS
from bot.pause import MAX_TEXT as MAX_REASON
from bot.presentation.wording import Wording
from bot.requests.moments import MAX_TEXT as MAX_MOMENT

# What the script says by itself.
SCRIPT_KEYS: Final = ("console-offline", "operator-wrong", "operator-too-many")
PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · imagine-bot</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>
<nav><a href="{home}/">{back}</a> <button class="button" id="leave" hidden>{leave}</button></nav></header>
<p id="offline" role="alert" hidden></p>
<main>
<form id="enter" hidden>
<p>{enter_hint}</p>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="{max_password}"
 aria-describedby="password-flaw">
<p class="flaw" id="password-flaw" role="alert"></p>
<button class="button primary">{enter}</button>
</form>
<div id="corner" hidden>
<p id="said" role="status"></p>
<section aria-labelledby="queue-title"><h2 id="queue-title">{queue}</h2>
<div id="state"></div>
<form id="pause">
<div><label for="reason">{reason}</label>
<input id="reason" name="reason" maxlength="{max_reason}" aria-describedby="reason-flaw">
<p class="flaw" id="reason-flaw" role="alert"></p></div>
<div><label for="until">{until}</label>
<input id="until" name="until" maxlength="{max_moment}" placeholder="{until_hint}" aria-describedby="until-flaw">
<p class="flaw" id="until-flaw" role="alert"></p></div>
<div class="buttons"><button class="button">{pause}</button>
<button class="button" type="button" id="resume">{resume}</button></div>
</form>
<div id="queue"></div></section>
<section aria-labelledby="runners-title"><h2 id="runners-title">{runners}</h2><div id="runners"></div>
<p><button class="button" id="release">{release}</button></p></section>
<section aria-labelledby="storage-title"><h2 id="storage-title">{storage}</h2><div id="storage"></div>
<p><button class="button" id="backup">{backup}</button></p></section>
<section aria-labelledby="limits-title"><h2 id="limits-title">{limits}</h2><p class="note">{limits_hint}</p>
<div id="limits"></div></section>
<section aria-labelledby="log-title"><h2 id="log-title">{log}</h2><p class="note">{log_hint}</p>
<div id="log" tabindex="0" role="log" aria-live="off" aria-labelledby="log-title"></div></section>
</div>
</main>
<script type="application/json" id="words">{words}</script>
<script type="module" src="{script}"></script>
</body>
</html>
"""
PREFIX: Final = "operator-"
WORDS: Final = (
    "operator-title",
    "operator-back",
    "operator-leave",
    "operator-enter",
    "operator-enter-hint",
    "operator-password",
    "operator-queue",
    "operator-reason",
    "operator-until",
    "operator-until-hint",
    "operator-pause",
    "operator-resume",
    "operator-runners",
    "operator-release",
    "operator-backup",
    "operator-storage",
    "operator-limits",
    "operator-limits-hint",
    "operator-log",
    "operator-log-hint",
)


def corner_page(wording: Wording, *, root_path: str) -> str:
    """Return the page; `root_path` is where a proxy shows it."""
    words = {word.removeprefix(PREFIX).replace("-", "_"): escape(wording.say(word)) for word in WORDS}
    said = json.dumps({key: wording.say(key) for key in SCRIPT_KEYS}, ensure_ascii=False).replace("<", "\\u003c")
    return PAGE.format(
        **words,
        language=wording.language,
        home=escape(root_path),
        style=CORNER_STYLE.read_text("utf-8"),
        script=escape(f"{root_path}{address_of('operator.js')}"),
        max_password=MAX_PASSWORD_CHARS,
        max_reason=MAX_REASON,
        max_moment=MAX_MOMENT,
        words=said,
    )
