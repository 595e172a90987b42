"""Which models there are, where their files lie, and how they get here. No torch.

parts.py       Part, Layout: the vocabulary of files of weights
headers/       the head of a file of weights: names, shapes, dtypes; what else lies in its place
layouts/       identify(): what a file of weights is, which parts it holds; wrong_place(): what does not belong there
model_parts.py parts_of(): which part of which files each component is read from, or why it cannot be
architecture.py  Architecture: what a family declares about itself
file_owner.py  FileOwner: what has files to look at and to fetch
model_card.py  ModelCard: what is true of a model before loading it; card.resolve(options) → spec
models.py      MODELS: name → card; catalog_of(); choose_model(); create_engine() imports torch on demand
recommendation.py  recommend(): which model suits a machine, a language and the licences that are allowed
catalog.py     Catalog: every model of one config by name, the operator's own too
own_models.py  the operator's own files → a card
lora_card.py   LoraCard: what is true of a LoRA before its tensors are read
loras.py       loras_of(): the operator's LoRAs by name, from the config and from `models add`
adding.py      `models add` and `models remove`; adding_loras.py: of LoRAs
added_models.py  the list that they keep
file_search.py  what may be weights in folders that other programs filled
shipped.py     the tokenizers in tokenizers/, for models whose files bring none
files.py       where model files lie, whether they are whole, and what belongs there
model_hash.py  the SHA-256 of a model's file: known, or found in the background
download.py    model files: brought from their hub, checked
hub.py         the hub: ModelScope, its errors in plain words
vocabulary.py  what of a prompt a model cannot read
unknown_words.py  which words mean nothing to a model that knows few
"""
