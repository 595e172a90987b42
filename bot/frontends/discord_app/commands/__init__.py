"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
personal.py  /queue, /cancel, /history, /show
quotas.py    /quota, /admin quota, /admin channel
help.py      /help, with examples that draw
admin.py     /admin: pause, resume, queue, cancel, stats
"""
