"""TRF: transfer learning."""
