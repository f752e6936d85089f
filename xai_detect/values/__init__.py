"""What travels: records, boxes, places, images, fills, and files written whole."""
