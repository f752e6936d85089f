"""One image all the way through, and its maps side by side."""
