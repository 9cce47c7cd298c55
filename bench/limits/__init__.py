"""What the machine can do: the same work by bare loops, without a job system around it."""
