"""What every submittable has in common. Submittables are data; `asyncsteps._run.dispatch` plays them."""


class Submittable:
    """Base class of everything that can be submitted to a run, alone or within a chain, a group or a step."""

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an activity attribute on every activity task within, if any."""
