"""Agent rows (to come)."""
AGENT_ROWS = {}
