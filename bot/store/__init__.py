"""What outlives the process: the database (all SQL of the project is in this folder) and the image files.

database.py         the SQLite file: open it alone, migrate it, run statements on it
schema.py           its numbered migrations, in migrations/, and what it consists of
lock.py             who works on a database
job_store.py        the life of a job: accepted, run, ended, cancelled; all that is asked of jobs, together
usage_store.py      what jobs used: of the bounds, of the GPU, how long they took
outbox_store.py     whom a result is to be told, and whether it arrived
history_store.py    the pages of histories (history_query.py says what is looked for)
retention_store.py  what of jobs is kept, and what goes
job_rows.py         row ↔ Job; job_sql.py holds what several stores say of jobs in the same words
spec_codec.py       `ImageSpec` ↔ JSON
statistics_store.py how the service did: waits, models, failures
moderation_store.py bans, blocked words, removed images
retraction_store.py messages that are to be taken back
erasure_store.py    who is to be erased, and what is left of them for a day
user_setting_store.py, channel_setting_store.py, preset_store.py, user_quota_store.py, key_value_store.py
                    small values by person, channel, pseudonym or name
image_store.py      the image files
horizon.py          from which moment age is counted. Pure.
pseudonyms.py       names for people that no id can be read from
database_copies.py  the copies that upgrades left beside the database
backups/            copies of everything, and their way back
preflight.py        what `check` reports about all this
"""
