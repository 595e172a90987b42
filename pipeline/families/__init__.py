"""One folder per model family. `pipeline/catalog/models.py` imports the engine of the one that is asked for."""
