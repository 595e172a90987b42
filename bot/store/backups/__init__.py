"""Backups: one ZIP file with the database, the image files that it names, and a manifest.

manifest.py  what a backup says of itself, checked before anything else is believed
writing.py   made while the bot runs, and verified before it gets its name
restoring.py read as a stranger's, and put in place so that an interruption loses nothing
decided.py   what was deleted, removed and forbidden since, which restoring keeps so
nightly.py   the names of backups
erased.py    who was erased, so that no restored backup brings them back
"""
