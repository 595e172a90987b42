"""What every request has to pass before Gradio or our routes see it.

gate.py       host, password, origin, allowed paths, size, shape
paths.py      which paths there are, and who answers each: our routes or Gradio. Pure.
origins.py    which page a request comes from, and where a proxy shows ours. Pure.
refused.py    what is wrong with a request
bodies.py     what requests to Gradio may hold. Pure.
admission.py  who brings the password, and who has to wait before it is compared
operators.py  who may enter the operator's corner
"""
