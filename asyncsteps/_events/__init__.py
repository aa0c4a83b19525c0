"""The records of what happens in a run, as its subscribers get them."""
