"""Numbers about detections and maps; each is a pure function, and "no answer" is NaN."""
