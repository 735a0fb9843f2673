"""RUN: what shows while a model trains."""
