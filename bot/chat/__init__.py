"""Discord: the only folder that may import discord.

client.py        the client: connect, commands registered when they changed, events, one error handler
gate.py          who may use the bot where, decided from memory before anything is queued
imagine.py       /imagine: arguments → Request → service.submit
history.py       /queue, /cancel, /history, /show, /quota
admin.py         /admin: pause, resume, queue, cancel, stats
buttons.py       buttons that survive a restart; their state lives in the custom id
address.py       where a job's card stands. Pure.
answers.py       what one person sees: private answers, errors, results that found no other way
cards.py         Job or error → card: text, embed, buttons, in the reader's language. Pure.
reply.py         the Frontend for Discord: edits the right message, falls back when it cannot
troubles.py      Discord's errors → what to do about them: one table. Pure.
uploads.py       a picture small enough to send
probe.py         what the bot needs on a server, for `invite` and `check`; REST only, no client
translations.py  command names and descriptions for Discord's language settings
"""
