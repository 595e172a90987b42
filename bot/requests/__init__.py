"""Everything that people may ask for, for every front end.

service.py  the one door: submit, cancel, look, pause
batch.py    one request for several images, and its outcome. Pure.
derive.py   the verbs that make a request from an earlier job. Pure.
models.py   the models that people may ask for
archive.py  finished pictures: keep, erase
preferences.py  what a person chose for themselves
quotas.py   what people have used of their limits. Pure.
"""
