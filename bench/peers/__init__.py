"""Other job systems and queues with a SQLite engine, each in one file, each run as its documentation says."""
