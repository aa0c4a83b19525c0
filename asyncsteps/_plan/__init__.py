"""The pure core: names and selectors, frozen records, the planner."""
