"""One folder per model family: its `Architecture`, its engine and what only it has. `make_engine` imports it on demand.

torch_engine.py  what the engines of all families share
recipes.py       what a component is made of: its tensors, their names here, its module
wanted_loras.py  the LoRAs that an image wants, and what of a model they may change
flux/            FLUX.1 and its kin
"""
