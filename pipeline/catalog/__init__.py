"""Which models there are, where their files lie, and how they get here. No torch.

parts.py       Part, Layout: the vocabulary of files of weights
headers/       the head of a file of weights: names, shapes, dtypes; what else lies in its place
layouts/       identify(): what a file of weights is, which parts it holds; wrong_place(): what does not belong there
model_parts.py parts_of(): which part of which files each component is read from, or why it cannot be
architecture.py  Architecture: what a family declares about itself
model_card.py  ModelCard: what is true of a model before loading it; card.resolve(options) → spec
models.py      MODELS: name → card; choose_model(); create_engine() imports torch on demand
files.py       where model files lie, whether they are whole
model_hash.py  the SHA-256 of a model's file: known, or found in the background
download.py    model files: brought from their hub, checked
hub.py         the hub: ModelScope, its errors in plain words
vocabulary.py  what of a prompt a model cannot read
unknown_words.py  which words mean nothing to a model that knows few
"""
