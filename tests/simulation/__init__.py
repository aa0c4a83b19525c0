"""A simulator of runs: random workflows over an S3 in memory that fails, in shuffled virtual time, held to a model."""
