"""The GPU, without torch: what it is, what it can do, what fits on it.

gpu.py               the GPU as its driver describes it, and whether PyTorch can use it
gpu_profile.py       what a GPU was measured at, and the 8-bit format that follows
memory_plan.py       what stays on the GPU, what is streamed: arithmetic
runtime_estimate.py  how a large model will run here, for `check` and `/admin stats`
"""
