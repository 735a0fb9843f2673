"""Measure, judge and clip the gradients of an optimizer right before its step."""
