"""The rules, by topic: every function marked with ``@rule`` in this folder is a rule."""
