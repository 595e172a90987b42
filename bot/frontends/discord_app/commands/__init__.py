"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
personal.py  /queue, /cancel, /quota
history.py   /history, /show
help.py      /help, with examples that draw
admin.py     /admin: pause, resume, queue, cancel, stats
"""
