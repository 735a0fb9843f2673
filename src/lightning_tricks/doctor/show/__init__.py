"""Reports as text, HTML and GitHub annotations."""
