"""What users write, as data: activities, chains, groups, steps, signals."""
