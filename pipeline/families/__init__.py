"""One folder per model family: its `Architecture`, its engine and what only it has. `make_engine` imports it on demand.

torch_engine.py  what the engines of all families share
flux/            FLUX.1 and its kin
"""
