"""Everything that people may ask for, for every front end.

service.py          the one door: submit, cancel, look
parts.py            the parts that it is built on
prompt_flags.py     the options in a prompt, `--ar 16:9`, fitted to the model. Pure.
typed_settings.py   a prompt taken apart: its words, and the settings in it as they were written. Pure.
flag_scanner.py     what in a text is a flag, and what belongs to it. Pure.
flag_values.py      the values of options behind flags and in pasted settings. Pure.
loras.py            what people write of LoRAs: options, tags, `speed: fast`
pasted_settings.py  text of other programs, and the `/imagine` line, taken apart. Pure.
batch.py            one request for several images, and its outcome. Pure.
unpacking.py        the images of requests, unpacked one after the other
init_images.py      the file that a request starts from
derive.py           the verbs that make a request from an earlier job. Pure.
file_info.py        what an image file says about how it was drawn. Pure.
archive.py          finished pictures: keep, erase
privacy.py          what people may ask about their own data
erasure.py          everything of one person deleted, in an order that may be interrupted
export.py           a copy of everything as ZIP files
defaults.py         what was typed, and what holds where nothing was. Pure.
moderation.py       what moderators decide: bans.py, word_list.py, removed images
word_filter.py      words in a text, however they are written (word_folding.py). Pure.
moments.py          until when something lasts, as a moderator types it. Pure.
erased.py           who erased an image. Pure.
histories.py        the pages of a history, and what others may post of it
history_search.py   what somebody types to find pictures, understood. Pure.
preferences.py      what people chose for themselves
presets.py          settings and words under a name
channel_defaults.py what moderators chose for channels
translations.py     prompts put into English for models that read nothing else
models.py           the models that people may ask for
allowances.py       what a person may, by their roles and by what was set for them
quotas.py           what people have used of their limits. Pure.
backups.py          a backup every night, and whenever somebody asks
pausing.py          pausing the queue, and letting it go on
stats.py            numbers for the operator
operating.py        what else an operator sees: runners, limits, the disk
"""
