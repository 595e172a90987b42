"""Measures quality and speed. Nothing of the product imports it.

quality.py         scores settings of the engine on the demo model, for `imagine-bot bench quality`
image_scoring.py   how near a picture of the demo model is to the concept it was asked for
isolation.py       where a system is timed: a process of its own, a part of the GPU
stopwatch.py       seconds and kernels of steps
engine_timing.py   steps and whole pictures of FLUX.1 with random weights at full size, beside DiffSynth's own
stable_diffusion_timing.py   whole images of SD 1.5 and SDXL, likewise
report.py          what is measured, under which conditions. No torch.
random_weights.py  the model without its files
random_stable_diffusion.py   SD 1.5 and SDXL without theirs
baselines.py       how others run it
"""
