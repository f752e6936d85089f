"""Many images: one writer, and what is foretold."""
