"""Parameter groups by layer, and layers that are frozen for a while."""
