"""Jobs in, sentences out. Pure.

job_view.py  the content of a message or fragment about a job, as phrases and actions
wording/     every sentence that people read, by language
"""
