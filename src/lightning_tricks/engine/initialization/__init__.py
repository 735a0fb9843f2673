"""Initialization: which weights of a model are reinitialized, with which gain, and which are not changed."""
