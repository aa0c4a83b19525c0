"""Resume, force and skip the steps of long workflows, on asyncio."""
