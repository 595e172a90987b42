"""Everything that people may ask for, for every front end.

service.py          the one door: submit, cancel, look, pause
prompt_flags.py     the options in a prompt, `--ar 16:9`, taken out of it. Pure.
flag_scanner.py     what in a text is a flag, and what belongs to it. Pure.
flag_values.py      the values of options behind flags and in pasted settings. Pure.
pasted_settings.py  text of other programs, and the `/imagine` line, taken apart. Pure.
batch.py            one request for several images, and its outcome. Pure.
init_images.py      the file that a request starts from
derive.py           the verbs that make a request from an earlier job. Pure.
file_info.py        what an image file says about how it was drawn. Pure.
archive.py          finished pictures: keep, erase
moderation.py       what moderators decide: bans.py, word_list.py, removed images
word_filter.py      words in a text, however they are written (word_folding.py). Pure.
moments.py          until when something lasts, as a moderator types it. Pure.
erasure.py          who erased an image. Pure.
preferences.py      what people chose for themselves
models.py           the models that people may ask for
quotas.py           what people have used of their limits. Pure.
stats.py            numbers for the operator
"""
