"""Everything that takes requests, waits, remembers and answers. Asynchronous; knows people, never a tensor.

__main__.py     the list of commands
app.py          builds every part; the only file that knows all of them
lifecycle.py    start, watch and stop in order and in time; signals and exit code
maintenance.py  what the service does by itself: forgetting, numbering, the lag of its loop
cli/            one file per command
frontends/      discord_app/ is the only folder that may import discord, web/ the only one that may import gradio
requests/       the one door for front ends: submit, cancel, look, pause
delivery/       results and status messages to their front ends; the Frontend protocol
scheduling/     the bounded queue over the job table, placement on runners, limits, finish times
executors/      where engines run; thread.py is the one thread crossing
store/          SQLite and the image files; all SQL of the project
presentation/   every sentence a person reads, in English and Chinese
config/         TOML and environment → frozen sections, one per part
logs.py         how lines look, the job id on each; redaction.py takes secrets and prompts out
shutdown.py     ends parts within their time, none skipped because another failed
jobs.py         the nouns: Request, Job, JobStatus, ReplyTo, QueueStatus, StopSignal. Pure.
errors.py       errors of this side, tree drawn on top; exit codes
findings.py     what every part's `preflight` returns and `check` prints. Pure.
text_files.py   files that somebody wrote by hand, in whatever encoding
deadline.py     how long anything may still wait once the service stops
retry.py        trying again: pauses that double, with jitter
supervision.py  loops that nothing from outside may end
pause.py        why the queue starts no job, and who may end that. Pure.
preset_names.py what a preset may be called and how much it may hold. Pure.
"""
