"""INI: initialization."""
