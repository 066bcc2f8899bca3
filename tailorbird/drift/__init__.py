"""What counters and labels of a served model tell of its accuracy: numpy alone, no room."""
