"""Done steps as objects under a prefix of an S3 bucket."""
