"""Native submittables as simpleflow's."""
