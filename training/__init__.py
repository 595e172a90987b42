"""The recipe of the demo model in `pipeline/demo`: from emoji and their names to weights.

    concepts.json  unknown.json    what is drawn, by which names; names of things that are not
    vocabulary.py  words.py  captions.py    scenes and what people call them, English and Chinese
    unknown.py                     captions of what the model does not know
    known.py                       the words that the product is told of
    sprites.py  scenes.py          emoji as bitmaps; scenes composed on the device
    networks.py  muon.py           the model's parts, their files, one forward pass; an optimiser
    autoencoder.py  trainer.py     the two trainings: the VAE; the transformer with its text encoders
    blend.py  relay.py             the mean of two runs' weights; one model that draws as two in turn
    recipe.py                      all of it in one go
    sampling.py  evaluation.py     many pictures at once; contact sheet; scores

`python -m training --help` lists the commands, `docs/demo-model.md` tells how they were used. Not part of the
installed package. May import `pipeline`, which must not know this folder.
"""
