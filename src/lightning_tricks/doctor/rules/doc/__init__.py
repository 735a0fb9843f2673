"""DOC: what keeps the doctor from looking."""
