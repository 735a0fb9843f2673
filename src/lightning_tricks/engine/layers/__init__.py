"""Parameter groups by layer, and temporarily frozen layers."""
