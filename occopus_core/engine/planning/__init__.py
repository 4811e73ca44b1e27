"""From descriptions and records to a plan: pure, apart from rendering templates."""
