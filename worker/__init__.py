"""The door that works: claims jobs, calls the model, verifies, and writes down what came of it."""
