"""The native interpreter: plays submittables on the event loop, over a store."""
