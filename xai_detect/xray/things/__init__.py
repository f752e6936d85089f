"""What a bag holds, and the bags."""
