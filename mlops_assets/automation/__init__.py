"""What makes the loop run by itself: jobs, schedules, sensors, alerts."""
