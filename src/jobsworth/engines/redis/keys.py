"""Every key of the engine, and what it holds. Nothing else, in Python or Lua, spells a key.

All keys of a namespace share one hash tag, so that a cluster keeps them in one slot and each verb stays one script.
A member of an index is a job's place in the order of creation, twelve digits, and its id: sorted as text, members
stand in that order.
"""

from __future__ import annotations

# Scripts write these names too (see constants).
SUFFIXES = {
    # one of each per job
    "JOB": "job:",  # + id: string, the record (record.py)
    "ARGS": "args:",  # + id: string, the record's last part where that is large: claims and endings do not rewrite it
    "PAST": "past:",  # + id: list, the attempts that did not simply succeed, oldest first
    "LOGS": "logs:",  # + id: sorted set by place, what its runs have logged, some lines at a time (logs.py)
    # who stands where: each job is a member of exactly one of these
    "LINE": "line:",  # + queue/task: sorted set by -priority, who may be claimed; equals stand in order of creation
    "HURT": "hurt:",  # + queue/task: the same for jobs that have taken a process down
    "DUE": "due:",  # + queue: sorted set by run_at, the scheduled ones
    "HELD": "held",  # sorted set by the end of the lease, in microseconds
    "DONE": "done:",  # + state's code:queue: sorted set by finished_at
    # to find the above
    "TASKS": "tasks:",  # + queue: set of tasks that have a line, those of HURT as !task; may name empty ones
    "DUES": "dues",  # sorted set of queues by the first moment in their DUE
    "QUEUES": "queues",  # set of queues that have had jobs; may name empty ones
    # to find jobs by what they are
    "BOOK": "book:",  # + place // BOOK_PAGE: hash of place % BOOK_PAGE -> id, every job in order of creation
    "BOOKS": "books",  # sorted set of the numbers of the pages above
    "UNIQUE": "unique",  # hash of task/key -> id of the live job that holds the key
    "OWNER": "owner:",  # + owner: sorted set of members, all with score 0
    "TAG": "tag:",  # + tag: the same
    # how runs ended (tallies.py)
    "CELLS": "cells",  # hash of minute/way/run/wait/queue/task -> how many, and the same with + -> microseconds
    "MINUTES": "minutes",  # sorted set of the hours, by their first minute, that the next are kept of
    "MINUTES_OF": "minutes:",  # + an hour's first minute: hash of minute/queue/task -> statistics.Sum, packed
    "HOURS": "hours",  # sorted set of the days, by their first minute, that the next are kept of
    "HOURS_OF": "hours:",  # + a day's first minute: hash of an hour's first minute/queue/task -> the same of that hour
    # the house
    "SEQ": "seq",  # the next job's place
    "FENCE": "fence",  # the last fence given out: one counter for all jobs
    "SETTINGS": "settings",  # hash of queue -> 1 if paused, else 0
    "CARDS": "cards",  # hash of worker -> its card
    "SCHEMA": "schema",  # number of the layout
    "BELL": "bell",  # channel, no key: somebody changed something
}
BOOK_PAGE = 128  # small enough for Redis to keep a page in one compact piece
PLACE = 12  # digits


def prefix(namespace: str) -> str:
    """What every key of a namespace begins with. It is itself the key that scripts are routed by."""
    return f"{{{namespace}}}:"


def key(namespace: str, name: str) -> str:
    """One of the keys that need no more to their name."""
    return prefix(namespace) + SUFFIXES[name]


def constants() -> dict[str, str | int]:
    """The same for scripts: `NS .. JOB .. id` is a key."""
    return {**SUFFIXES, "BOOK_PAGE": BOOK_PAGE, "PLACE": PLACE}
