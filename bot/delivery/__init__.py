"""From a finished job to the person who asked.

results.py  results and status messages to their front ends; the Frontend protocol
"""
