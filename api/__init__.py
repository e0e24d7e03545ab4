"""The HTTP door: who may ask, what is asked, and the answers. It decides nothing about a job's life."""
