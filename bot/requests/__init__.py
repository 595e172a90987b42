"""What people may ask for, for every front end.

service.py  the one door: submit, cancel, look, pause
"""
