"""How fast infrastructures are built, and how fast the commands start."""
