"""Pictures in and out. No torch.

init_image.py    a person's picture → pixels to start from
png_metadata.py  pixels → PNG bytes with the spec inside
"""
