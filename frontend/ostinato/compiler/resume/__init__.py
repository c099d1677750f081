"""Edited dumps: a text in the place of what a pass made, from which the passes go on."""
