"""The rules, by topic: every function marked ``@rule`` in a file of this folder."""
