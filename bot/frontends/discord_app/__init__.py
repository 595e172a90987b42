"""Discord: the only folder that may import discord.

client.py        the client: connect, events, one error handler
command_sync.py  commands registered when they changed or are gone
online.py        the line that says that the bot is online
presence.py      what stands under the bot's name
alert_channel.py the channel that reads alerts; channel_watch.py: which channels take no images any more
permissions.py   who may use the bot where, decided from memory before anything is queued
commands/        /imagine; /queue, /cancel, /history, /show, /quota; /help; /privacy; /admin; the menu of messages
greeting.py      the answer to a mention and to a direct message, once per hour and person
components.py    the registry of buttons, which survive a restart: their state is in the custom id
history_pages.py the pages of a history, with their buttons
contact_sheet.py one small image made of a page's thumbnails
posting.py       a finished image posted again, for everybody
presses.py       which press is the second half of a double click
message_ref.py   where a job's message stands. Pure.
interactions.py  private answers: refusals, errors, results that could not be delivered
embeds.py        JobView → message: text and embed, in the reader's language. Pure.
sending.py       how a message is sent or edited as the bot, smaller if it has to be
private_delivery.py
                 what one person sees of a private image, and how it reaches them
reveal.py        “Show me”: a private image, to its person
frontend.py      the Frontend for Discord: edits the right message, falls back when it cannot
retraction.py    deletes a message whose job is gone
http_errors.py   Discord's errors → what to do about them: one table. Pure.
command_ids.py   commands to be clicked in a message
attachments.py   a picture small enough to send
downloads.py     what people attached, fetched within bounds
attached.py      the images of a message, to be fetched later
placeholders.py  which placeholders wait for a file, for the next start
forms.py         the forms behind buttons; file_forms.py, removal.py: those of the menu of messages; form_fields.py
preflight.py     what the bot needs on a server, for `invite` and `check`; REST only, no client
translations.py  command names and descriptions for Discord's language settings
"""
