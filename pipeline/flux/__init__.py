"""The FLUX.1 family; the only code that knows DiffSynth.

engine.py       one picture: encode, denoise, decode; DiffSynth's pipeline driven, watched, put back to rest
checkpoint.py   a card's files → DiffSynth's pipeline: arithmetic, layouts, no prints
transformer.py  the transformer and the text encoders in our own keeping: placed, compiled, sharing one ring
kernels.py      measures a card: its link, its products in each format, and the best tiles for our own
streamed.py     a module whose blocks stay on the device or pass through the ring
packing.py      a checkpoint → one run of bytes per block, quantized while reading
packed_file.py  those bytes on disk, from the second start on
formats.py      how a weight is kept and multiplied: floats, scaled 8-bit floats, rotated 8-bit integers
integers.py     kernels of our own that make 8-bit integers and multiply them, where Triton can
modulation.py   the part of the transformer that one table per picture replaces
ring.py         slots on the device through which blocks pass
locked.py       page-locked host memory, as far as the system gives it
tiles.py        the autoencoder tile by tile, where a whole picture would not fit
prompts.py      embeddings of prompts, kept, so that another seed needs no text encoder
preview.py      latents → a small rough picture, while the steps go on
benchmark.py    steps and whole pictures at full size, timed beside DiffSynth's own
random_model.py the model without its files, for that benchmark
peers.py        how others run it, for that benchmark
memory.py       GPU memory: what CUDA takes, a limit, what is free; what torch raises, translated
diffsynth.py    the library's import, without its training half
"""
