"""Weights that are larger than the GPU's memory. Knows no model family.

residency.py        the one owner of GPU memory: which blocks stay there, who may use the rest
streamed_module.py  a module whose blocks stay on the GPU or pass through the ring
block_ring.py       slots on the GPU through which blocks pass
checkpoint_files.py the tensors of one part of a model, out of whatever files keep it
storages/           how files keep the values of tensors: plain, scaled, in 4 bits, GGUF
conversion.py       a checkpoint's tensors in the names of a module; modules that are loaded whole
block_packing.py    a checkpoint → one run of bytes per block, quantized while reading
packed_cache.py     those bytes on disk, from the second start on
packing_journal.py  what is already in a packed file that is not finished
pinned_memory.py    page-locked host memory, as far as the system gives it
quantization.py     how a weight is kept and multiplied: floats, scaled 8-bit floats, rotated 8-bit integers
triton_int8.py      kernels of our own that make 8-bit integers and multiply them, where Triton can
arithmetic.py       how a model is kept and multiplied here
compilation.py      blocks compiled with code that an earlier start kept
lora_file.py        a LoRA's file: pairs of tensors, whoever wrote it
lora_names.py       which layers of a model a LoRA's names mean; a family's `loras.py` says how others call them
lora_parts.py       the parts of a model that LoRAs may change
lora_adapter.py     a LoRA on the layers of one model; several as one
lora_product.py     what a LoRA adds to the output of a layer
lora_placement.py   the LoRAs that a model in memory is used with
autotune.py         measures a GPU: its link, its products in each format, and the best tiles for our own kernels
"""
