"""What people type on Discord.

generate.py  /imagine: arguments → Request → service.submit
personal.py  /queue, /cancel, /history, /show, /quota
admin.py     /admin: pause, resume, queue, cancel, stats
"""
