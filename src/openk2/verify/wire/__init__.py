"""Raw HTTP to the endpoint under test, and what its answers say."""
