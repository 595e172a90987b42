"""Everything that takes requests, waits, remembers and answers. Asynchronous; knows people, never a tensor.

__main__.py   the command line; bench, check, fetching.py belong to its commands, usage.py is how --help shows them
app.py        builds every part and owns start and stop order; the only file that knows all parts
config.py     TOML and environment → frozen sections, one per part
logs.py       how lines look, the job id on each, secrets taken out
errors.py     errors of this side, tree drawn on top; exit codes
farewell.py   ends parts within their time, none skipped because another failed
jobs.py       the nouns: Request, Job, JobStatus, ReplyTo, Standing, StopSignal. Pure.
deadline.py   how long anything may still wait once the service stops
pause.py      why the queue starts no job, and who may end that. Pure.
turns.py      loops that nothing from outside may end
limits.py     which bound refused a request, and until when. Pure.
forecast.py   order and finish times of waiting jobs. Pure.
jobqueue.py   the bounded queue over the job table: put, claim, cancel, requeue, recover
service.py    the one door for front ends: submit, cancel, look, pause
breaker.py    pauses the queue when drawing or saving keeps failing, and ends that pause
worker.py     claim → draw → save → announce
delivery.py   results and cards to their front ends; the Frontend protocol
wording/      every sentence a person reads, in English and Chinese
chat/         Discord, the only folder that may import discord
console/      the local page, the only folder that may import gradio
executors/    where engines run; thread.py is the one thread crossing
store/        SQLite and the image files; all SQL of the project
"""
