"""How the list of done steps travels through SWF."""
