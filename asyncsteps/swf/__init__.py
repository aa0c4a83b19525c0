"""Steps on Amazon SWF, through simpleflow."""
