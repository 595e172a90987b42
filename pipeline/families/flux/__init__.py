"""The FLUX.1 family.

engine.py       one picture: encode, denoise, decode; DiffSynth's pipeline driven, watched, put back to rest
checkpoint.py   a model's files → DiffSynth's pipeline: arithmetic, layouts, no prints
transformer.py  the transformer and the text encoders in our own keeping: placed, compiled, sharing one ring
modulation.py   the part of the transformer that one table per picture replaces
"""
