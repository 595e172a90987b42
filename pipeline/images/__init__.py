"""Pictures in and out. No torch.

embedded_text.py  the texts that programs leave in files
init_image.py    a person's picture → pixels to start from
png_metadata.py  pixels → PNG bytes with the spec inside
"""
