"""The X-ray world: a simulator whose scans carry exact masks and known causes."""
