"""What a run folder holds, to files and back with suspicion."""
