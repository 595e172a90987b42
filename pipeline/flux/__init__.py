"""The FLUX.1 family; the only code that knows DiffSynth.

engine.py      one picture: encode, denoise, decode; DiffSynth's pipeline driven, watched, put back to rest
checkpoint.py  a card's files → DiffSynth's pipeline: precision, placement, layouts, no prints
memory.py      GPU memory measured in MiB; what torch raises, translated
diffsynth.py   the library's import, without its training half
"""
