"""The FLUX.1 family.

architecture.py  what the family declares: components, costs, latents. No torch.
cards.py         the models. No torch.
engine.py        the engine
model.py         a model in memory: DiffSynth's pipeline driven for one image
prompts.py       DiffSynth's reader of prompts, with a memory
text_encoders.py T5 and CLIP in our own keeping
checkpoint.py    a model's files → DiffSynth's pipeline
names.py         the names of tensors in files → those of the modules
loras.py         what LoRAs call the layers
sized.py         the modules, with the sizes of their tensors
transformer.py   the transformer in our own keeping: streamed, compiled
modulation.py    the part of the transformer that one table per picture replaces
"""
