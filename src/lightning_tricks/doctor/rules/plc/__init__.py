"""PLC: placement of dropout, batch norm and activations."""
