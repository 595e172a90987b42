"""How files keep the values of tensors, and how to get them back. Knows no names of layers and no modules.

stored.py       a tensor in a file, with what lies beside it: bytes, numbers, notes
scaled.py       floats and integers of 8 bits with scales, the latter perhaps rotated
four_bit.py     the 4-bit types of bitsandbytes: NF4, FP4
gguf_blocks.py  the types of GGUF files
reading.py      which of them a tensor is in

Every reader returns a tensor on the CPU. It raises GenerationFailed, naming the tensor, for whatever makes no sense,
before it takes memory for it.
"""
