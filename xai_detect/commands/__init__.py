"""The command line: what can be typed, and one module a command."""
