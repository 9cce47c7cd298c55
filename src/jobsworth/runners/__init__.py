"""Ways to run a handler: in the loop, in a thread, in a child process. Each ends in an Outcome."""
