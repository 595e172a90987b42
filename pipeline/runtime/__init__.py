"""What every torch engine needs, whatever it draws with.

cuda_memory.py       GPU memory: what CUDA takes, a limit, what is free; what torch raises, translated
diffsynth_import.py  the library's import, without its training half
vae.py               the autoencoder tile by tile, where a whole picture would not fit
prompt_cache.py      embeddings of prompts, kept, so that another seed needs no text encoder
latent_preview.py    latents → a small rough picture, while the steps go on
"""
