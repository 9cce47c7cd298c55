"""What a child process is told to import where it could not reach the engine of the test."""

raise RuntimeError(
    'a handler with isolation="process" runs in another process, which would find the app\'s own store and not the '
    "test's: use jobs_real for it"
)
