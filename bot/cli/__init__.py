"""The command line: one file per command. A command reads arguments and calls the parts that do the work.

run.py             `run`: the service
draw.py            `draw`: one picture without Discord
check.py           `check`: what every part's `preflight` finds
fetch.py           `fetch`: the files of a model; fetch_progress.py shows how far it is
models.py          `models`: what can be drawn with here; adds and forgets the operator's own files
invite.py          `invite`: the link for a server
bench.py           `bench`: quality and speed of the engine
output.py          what the commands share: lines for people, errors → exit codes
help_format.py     how `--help` shows commands
"""
