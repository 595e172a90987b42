"""Jobs in, sentences out. Pure.

phrases.py       a sentence before it is said, and the voice of a front end
job_view.py      the content of a message or fragment about a job, as phrases and actions
prompt_notes.py  what became of the settings that stood in a prompt, as phrases
recommendations.py  which model suits this computer, for the operator
wording/         every sentence that people read, by language
"""
