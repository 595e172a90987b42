"""Measures quality and speed. Nothing of the product imports it.

quality.py         scores settings of the engine on the demo model, for `imagine-bot bench quality`
image_scoring.py   how near a picture of the demo model is to the concept it was asked for
isolation.py       where a system is timed: a process of its own, a part of the GPU
stopwatch.py       seconds and kernels of steps
engine_timing.py   steps and whole pictures of FLUX.1 with random weights at full size, beside DiffSynth's own
model_timing.py    whole images of any model, likewise
tenants.py         what a family brings for that
stable_diffusion_timing.py   SD 1.5 and SDXL with a VAE that overflows
report.py          what is measured, under which conditions. No torch.
random_weights.py  the model without its files
random_stable_diffusion.py, random_z_image.py, random_qwen3.py   other models and their reader without theirs
baselines.py       how others run it
"""
