"""The loop played on a copy: another time, another policy, and nothing of production is touched."""
