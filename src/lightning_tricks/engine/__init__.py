"""How a trick reaches into a run: the only machinery that touches Lightning's internals."""
