"""Jobs in, sentences out. Pure.

wording/  every sentence a person reads, in English and Chinese
"""
