"""One sweeper per invariant: each moves on the jobs that nothing else would move, any number of times."""
