"""DAT: data and loaders."""
