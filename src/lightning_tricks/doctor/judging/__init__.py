"""Select rules, run them, group consequences and order fixes."""
