"""Show what happened: plots and text; drawing libraries are imported inside the functions that draw."""
