"""Discord: the only folder that may import discord.

client.py        the client: connect, commands registered when they changed, events, one error handler
permissions.py   who may use the bot where, decided from memory before anything is queued
commands/        /imagine; /queue, /cancel, /history, /show, /quota; /admin
components.py    buttons that survive a restart; their state lives in the custom id
message_ref.py   where a job's message stands. Pure.
interactions.py  what one person sees: private answers, errors, results that found no other way
embeds.py        Job or error → message: text, embed, buttons, in the reader's language. Pure.
frontend.py      the Frontend for Discord: edits the right message, falls back when it cannot
http_errors.py   Discord's errors → what to do about them: one table. Pure.
attachments.py   a picture small enough to send
preflight.py     what the bot needs on a server, for `invite` and `check`; REST only, no client
translations.py  command names and descriptions for Discord's language settings
"""
