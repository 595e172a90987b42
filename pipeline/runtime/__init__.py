"""What every torch engine needs, whatever it draws with.

process_setup.py     every change to the whole process: environment, threads, the library's import and prints
torch_setup.py       which device torch computes on
vram_budget.py       how much GPU memory there is: VramBudget, real and fake
out_of_memory.py     what is done if it runs out: one ladder
cuda_memory.py       GPU memory: what CUDA takes, a limit, what is free
cuda_errors.py       what torch raises, translated
denoising_run.py     one run: progress, stop, times
slow_steps.py        says so if steps take far longer than planned
diffsynth_import.py  the library's import, without what drawing never uses
prompt_tokenizer.py  prompts → ids, for CLIP, T5 and the demo
t5_encoder.py        T5's encoder
tiles.py             overlapping tiles, blended: the steps of an upscale, and the VAE's
vae.py               the VAE with whatever memory there is: whole, in tiles, on the CPU
prompt_cache.py      embeddings of prompts, kept, so that another seed needs no text encoder
latent_preview.py    latents → a small rough picture, while the steps go on
"""
