"""The local page: the only folder that may import gradio.

server.py       starts and stops the page: the port, the password rule, a thread with a loop of its own
connections.py  how many connections there may be, and which gives way
protocol.py     one connection: strict about heads, and about time
security/       what every request has to pass before Gradio or our routes see it
gradio_page.py  the Gradio part: the form, what its buttons do, and `draw` for scripts. Imported late: it takes seconds
settings_fields.py  the fields for settings that not every model has
form_keys.py    the sentences of the form
form.py         what the form says, offers and reads, apart from Gradio. Pure.
browser_locale.py  which kind of Chinese a browser reads, said to Gradio
assets/         scripts and styles: page.js starts the living part, whose modules are named by what they show or do
installing.py   the web manifest, by which a browser installs the page
own_files.py    the files of assets/ under addresses that browsers may keep
routes.py       what the scripts ask for, and the pictures; no Gradio in it
handlers.py     what a person may ask for at the page, in terms of `bot/requests`
own_images.py   a person's finished images: looked at, kept, deleted, taken along
zip_stream.py   a ZIP file of them, made while it is sent
examples.py     prompts to try, with the images that the demo model drew from them. Pure.
help_page.py    what the page does, its keys, and what the demo model can draw. Pure.
page_words.py   the texts that the scripts show. Pure.
fragments.py    JobView → HTML, in the reader's language. Pure.
corner/         the operator's corner: a page of its own
names.py        the names that people give themselves. Pure.
identity.py     who is asking: a cookie, else an address. Pure.
uploads.py      what people upload to start a picture from
frontend.py     the Frontend for the page, which looks by itself
cross_loop.py   from the page's loop to the service's and back
"""
