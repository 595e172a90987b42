"""The family of Stable Diffusion: SD 1.5 and SDXL.

samplers.py      from noise to latents: schedules and steps
prompts.py       prompts with weights → chunks of tokens, and what weights do to embeddings
"""
