"""Discord: the only folder that may import discord.

client.py        the client: connect, commands registered when they changed, events, one error handler
permissions.py   who may use the bot where, decided from memory before anything is queued
commands/        /imagine; /queue, /cancel, /history, /show, /quota; /help; /admin
greeting.py      the answer to a mention and to a direct message, once per hour and person
components.py    the registry of buttons, which survive a restart: their state is in the custom id
presses.py       which press is the second half of a double click
message_ref.py   where a job's message stands. Pure.
interactions.py  private answers: refusals, errors, results that could not be delivered
embeds.py        JobView → message: text and embed, in the reader's language. Pure.
sending.py       how a message is sent or edited as the bot, smaller if it has to be
private_delivery.py
                 what one person sees of a private image, and how it reaches them
reveal.py        “Show me”: a private image, to its person
frontend.py      the Frontend for Discord: edits the right message, falls back when it cannot
http_errors.py   Discord's errors → what to do about them: one table. Pure.
command_ids.py   commands to be clicked in a message
attachments.py   a picture small enough to send
preflight.py     what the bot needs on a server, for `invite` and `check`; REST only, no client
translations.py  command names and descriptions for Discord's language settings
"""
