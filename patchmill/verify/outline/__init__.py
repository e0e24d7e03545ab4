"""What the guards need to know of a file's form: statements, definitions, imports, names; read in a child."""
