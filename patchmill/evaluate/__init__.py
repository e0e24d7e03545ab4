"""The evaluation harness: cases with known answers through the real pipeline, and what came of them."""
