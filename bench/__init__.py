"""Jobsworth measured beside its peers and beside what the machine can do: `make bench`, `bench/run.py --help`."""
