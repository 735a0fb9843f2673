"""CON: contracts that a model violates."""
