"""Parts of the image hidden again and again; black boxes included."""
