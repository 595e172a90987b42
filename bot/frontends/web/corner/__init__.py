"""The operator's corner of the page: queue, pause, limits, runners, storage, log.

routes.py     its addresses, for whoever `security/operators.py` lets in
page.py       the page itself, which `assets/operator.js` brings to life; no Gradio in it
handlers.py   what an operator may see and do, in terms of `bot/requests`
fragments.py  the same as HTML, in the reader's language. Pure.
"""
