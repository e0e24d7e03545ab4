"""What a fix must not do besides: `guards` reads the file's form in a child process and asks each of them."""
