"""GRD: custom gradients."""
