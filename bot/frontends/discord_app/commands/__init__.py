"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
privacy.py   /privacy: show, export, delete
quotas.py    /quota, /admin quota, /admin channel
message_menu.py  the menu of a message: use as starting image, vary, image info, remove
personal.py  /queue, /cancel
history.py   /history, /show
help.py      /help, with examples that draw
admin.py     /admin: pause, resume, queue, cancel, stats
"""
