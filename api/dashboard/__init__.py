"""The pages for people: rendered here, readable without JavaScript, and live where there is some."""
