"""What people read, by language: one catalogue each, and how to read it."""
