"""Everything that people may ask for, for every front end.

service.py          the one door: submit, cancel, look
prompt_flags.py     the options in a prompt, `--ar 16:9`, taken out of it. Pure.
flag_scanner.py     what in a text is a flag, and what belongs to it. Pure.
flag_values.py      the values of options behind flags and in pasted settings. Pure.
pasted_settings.py  text of other programs, and the `/imagine` line, taken apart. Pure.
batch.py            one request for several images, and its outcome. Pure.
derive.py           the verbs that make a request from an earlier job. Pure.
archive.py          finished pictures: keep, erase
preferences.py      what people chose for themselves
channel_defaults.py what moderators chose for channels
models.py           the models that people may ask for
allowances.py       what a person may, by their roles and by what was set for them
quotas.py           what people have used of their limits. Pure.
pausing.py          pausing the queue, and letting it go on
stats.py            numbers for the operator
"""
