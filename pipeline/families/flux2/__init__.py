"""The family of FLUX.2 [klein] 4B, which draws from words and edits with reference images.

architecture.py  what the family declares: components, costs, latents. No torch.
cards.py         the models. No torch.
engine.py        the engine
checkpoint.py    a model's files → a model: what is read from where, and how it is kept
names.py         the names of tensors in files → those of the modules
sizes.py         the modules in the sizes of tensors
model.py         a model in memory, and the loop that draws an image
prompts.py       prompts → what the transformer is told of them, each read once
transformer.py   the transformer in our own keeping: streamed, compiled, with references
autoencoder.py   the VAE's two halves
"""
