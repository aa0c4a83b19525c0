"""The drop-in `WorkflowStepMixin` and `Step`: one replay of an execution, decided by our planner."""
