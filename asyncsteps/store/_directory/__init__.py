"""Done steps as files of a local directory."""
