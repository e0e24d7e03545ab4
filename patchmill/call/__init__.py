"""From a job to one request on the wire and back to a typed outcome."""
