"""Raw HTTP to the endpoint under test, and the reading of its answers."""
