"""A simulator of runs: random workflows on an S3 in memory that fails, in shuffled virtual time, and a model."""
