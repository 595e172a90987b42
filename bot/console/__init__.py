"""The local page: the only folder that may import gradio.

server.py    starts and stops the page: the port, the password rule, a thread with a loop of its own
connections.py  how many connections there may be, and which gives way
protocol.py  one connection: strict about heads, and about time
page.py      the Gradio part: the form, what its buttons do, and `draw` for scripts. Imported late: gradio takes seconds
page.js      the living part: asks for the state, shows cards, picture and gallery; page.css how it looks
routes.py    what page.js asks for, and the pictures; no Gradio in it
desk.py      what a person at the page may do, in terms of `bot/service.py`
cards.py     Job → HTML, in the reader's language. Pure.
people.py    who is asking: a cookie, else an address. Pure.
gate.py      what every request has to pass: host, password, origin, allowed paths, size, shape
origins.py   which page a request comes from, and where a proxy shows ours. Pure.
paths.py     which paths there are, and who answers each: our routes or Gradio. Pure.
bodies.py    what requests to Gradio may hold. Pure.
admission.py who brings the password, and who has to wait before it is compared
uploads.py   what people upload to start a picture from
reply.py     the Frontend for the page, which looks by itself
"""
