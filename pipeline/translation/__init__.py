"""Puts prompts into English for models that read nothing else. Offline, on the CPU, and only what is not English.

foreign_text.py    which parts of a prompt a model cannot read, by their script; everything else stays as it was typed
instruction.py     what the language model is told, and how its answer ends
answers.py         which answers are translations, and which are refused
translator_card.py the language model: its files, licence and languages, and whether they are whole
translator.py      `Translator`: loads it when it is needed, on a thread of its own, and unloads it again
language_model.py  the model itself; the only module here that imports torch, when it is first needed

What comes out is used as a prompt and as nothing else, whatever the text says. Must not know people.
"""
