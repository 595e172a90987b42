"""Z-Image: a transformer over image and text in one stream, Qwen3 as its reader, FLUX.1's VAE.

architecture.py   what the family declares, and what a step costs
cards.py          its models
names.py          tensors' names in files → those of the modules
transformer.py    the transformer, streamed and compiled
prompts.py        prompts → hidden states of Qwen3, each read once
checkpoint.py     a card's files → a model
model.py          one image at a time
engine.py         `TorchEngine` with all of that
"""
