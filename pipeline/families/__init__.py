"""One folder per model family: its `Architecture`, its engine and what only it has. `make_engine` imports it on demand.

torch_engine.py  what the engines of all families share
wanted_loras.py  the LoRAs that an image wants, and what of a model they may change
flux/            FLUX.1 and its kin
"""
