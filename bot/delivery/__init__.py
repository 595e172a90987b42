"""From a finished job to the person who asked.

frontend.py        the Frontend protocol, and how a front end says that it cannot
results.py         results to their front ends, until somebody was told
retractions.py     messages to be taken back, whose jobs are gone
status_updates.py  status messages of unfinished jobs
shown.py           what those messages show, and which place each may claim. Pure.
alerts.py          what the operator is told, and not told again; alert_watch.py: what is looked for
"""
