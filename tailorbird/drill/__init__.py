"""The fire drill: corrupted traffic for an endpoint of its own, and how the monitoring reacts."""
