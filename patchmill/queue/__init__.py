"""Postgres row to broker message: the Celery application, and the push of what was dispatched."""
