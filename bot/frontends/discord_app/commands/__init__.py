"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
privacy.py   /privacy: show, export, delete
personal.py  /queue, /cancel, /history, /show
quotas.py    /quota, /admin quota, /admin channel
message_menu.py  the menu of a message: use as input, vary, image info, remove
help.py      /help, with examples that draw
admin.py     /admin: pause, resume, queue, cancel, stats
"""
