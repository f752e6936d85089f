"""The run folder, its pictures and its report, and other libraries' formats."""
