"""The family of Stable Diffusion: SD 1.5 and SDXL.

architecture.py  what the family declares: components, costs, latents. No torch.
cards.py         the cards of SD 1.5 and SDXL. No torch.
engine.py        the engine
checkpoint.py    a model's files → a model: what is read from where, and how it is kept
names.py         the names of tensors in files → those of our modules
loras.py         what LoRAs call the layers
sizes.py         DiffSynth's modules in the sizes of tensors
model.py         a model in memory, and the loop that draws an image
samplers.py      from noise to latents: schedules and steps
prompts.py       prompts with weights → chunks of tokens, and what weights do to embeddings
conditioning.py  prompts → what the UNet is told of them, each read once
text_encoders.py CLIP-L and CLIP-G in our own keeping
unet.py          the UNet in our own keeping: streamed, compiled, both halves of guidance in one pass
autoencoder.py   the VAE's two halves
"""
