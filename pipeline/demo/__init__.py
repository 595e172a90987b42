"""The small trained model that ships inside the package: 22.6 M parameters, 256 × 256, English and Chinese.

    model.py      its modules: FLUX.1's, built narrow. Imports torch.
    engine.py     its engine
    weights/      bf16 safetensors
    tokenizer_1/  tokenizer_2/    for the CLIP and the T5 encoder; they share their pieces
    vocabulary.json  the words that it knows; written by `python -m training words`
    MODEL_CARD.md what it draws, how it was trained, where its data came from

It is loaded and run by `families/flux/`, like the models that it stands in for; see its card there.
"""
