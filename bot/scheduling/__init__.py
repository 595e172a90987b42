"""Which job is drawn when, and by whom.

job_queue.py    the bounded queue over the job table: put, claim, cancel, requeue, recover
worker_pool.py  claim → draw → save → announce, on every runner
failures.py     what an error means for the person whose image failed. Pure.
runner.py       one slot of an executor: its model, health, failures and pace
placement.py    who takes which job: a fair order, and models that stay where they are. Pure.
survey.py       every unfinished job at one moment, and where it stands
pauses.py       whether jobs may be begun: pauses that were made, and quiet hours
hours.py        quiet hours: spans of every day. Pure.
breaker.py      pauses the queue when drawing or saving keeps failing, and ends that pause
limits.py       which bound refused a request, and until when. Pure.
waits.py        how much longer than foretold waits are. Pure.
load_times.py   how long models took to load
card_paces.py   what a card says of an image before any was drawn. Pure.
eta.py          order and finish times of waiting jobs. Pure.
"""
