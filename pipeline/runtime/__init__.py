"""What every torch engine needs, whatever it draws with.

process_setup.py     every change to the whole process: environment, threads, the library's import and prints
diffsynth_import.py  the library's import, without what drawing never uses
cuda_memory.py       GPU memory: what CUDA takes, a limit, what is free; what torch raises, translated
vae.py               the autoencoder tile by tile, where a whole picture would not fit
prompt_tokenizer.py  prompts → ids, for CLIP, T5 and the demo
t5_encoder.py        T5's encoder
prompt_cache.py      embeddings of prompts, kept, so that another seed needs no text encoder
latent_preview.py    latents → a small rough picture, while the steps go on
"""
