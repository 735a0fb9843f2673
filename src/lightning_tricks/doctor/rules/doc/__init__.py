"""DOC: problems that prevent the doctor from checking a model."""
