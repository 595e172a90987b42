"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
personal.py  /queue, /cancel, /history, /show, /quota
privacy.py   /privacy: show, export, delete
help.py      /help, with examples that draw
admin.py     /admin: pause, resume, queue, cancel, stats
"""
