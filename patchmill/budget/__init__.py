"""The arithmetic of money and tokens: holds, settlements, windows, prices. Integers only, no I/O."""
