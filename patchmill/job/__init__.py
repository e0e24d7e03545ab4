"""What a job is: its record, its states, its attempts, and every wait."""
