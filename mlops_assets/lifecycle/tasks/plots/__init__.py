"""What a task draws of its models' predictions: functions that return matplotlib figures."""
