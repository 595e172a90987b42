"""What belongs to single commands of the command line.

check.py           `check`: is everything there that the service needs
bench.py           `bench`: quality and speed of the engine
fetch_progress.py  what `fetch` shows while it downloads
help_format.py     how `--help` shows commands
"""
