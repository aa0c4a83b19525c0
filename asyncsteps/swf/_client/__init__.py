"""The async client of Amazon SWF."""
