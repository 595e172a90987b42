"""The FLUX.1 family; the only code that knows DiffSynth.

engine.py       one picture: encode, denoise, decode; DiffSynth's pipeline driven, watched, put back to rest
checkpoint.py   a card's files → DiffSynth's pipeline: precision, placement, layouts, no prints
transformer.py  the transformer and T5 in our own keeping, planned and placed, sharing one ring
streamed.py     a module whose blocks stay on the device or pass through the ring
packing.py      a checkpoint → one run of bytes per block, quantized while reading
packed_file.py  those bytes on disk, from the second start on
formats.py      how a weight is kept and multiplied: floats, scaled 8-bit floats, rotated 8-bit integers
modulation.py   the part of the transformer that one table per picture replaces
ring.py         slots on the device through which blocks pass
prompts.py      embeddings of the last prompts, so that another seed needs no text encoder
preview.py      latents → a small rough picture, while the steps go on
benchmark.py    the transformer at full size with random weights, timed beside DiffSynth's own
memory.py       GPU memory measured in MiB; what torch raises, translated
diffsynth.py    the library's import, without its training half
"""
