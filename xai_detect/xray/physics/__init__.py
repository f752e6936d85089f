"""Matter, beams and colours."""
