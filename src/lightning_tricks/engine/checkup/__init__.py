"""What the doctor measures while a model trains."""
