"""Initialization: which weights of a model are drawn anew, with which gain, and which are left as they are."""
