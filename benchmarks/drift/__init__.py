"""The watch against its peers: speed, verdicts, false alarms, power, and real streams."""
