"""The history checker: what was asked and answered, what really ran, and what the engine says in the end must agree.

Whatever is killed, stopped, starved or cut off. test_history.py feeds it wrong histories, one for each rule. The
invariants, and who looks after each (store: rules_store.py; door: rules_door.py; else a test file, or in quotes a
sentence of the contract):

 1 acknowledged => stored                      store, from every receipt; no queue of these tests forgets anything
 2 one final state, and it stays               store (final), door (ended once, nothing given out after it)
 3 refused => never runs; unknown => 0 or 1    store; door (what is there was asked for)
 4 fences are used once and only grow          door; store (of what started)
 5 leases never overlap, none taken too early  door; store (attempts of healthy processes)
 6 stale leases write nothing                  door: endings, progress, signs of life
 7 start only under one's lease, in time       door
 8 errors, crashes, numbers without gaps       store: counters against the history, the history against the door
 9 cancelled waiting => never starts           door, store
10 cancelled running => no further attempt     door, store
11 not before run_at, a retry's or a snooze's  door (our clock), store (the engine's clock)
12 expired => never starts                     door, store
13 one live job per key                        store
14 limits                                      slots per process: store, door. Limits across workers: not built
15 serial keys                                 not built
16 rate limits                                 not built
17 one job per schedule and moment             not built
18 a paused queue gives nothing out            door
19 progress: the holder's, forward, in bounds  door, store
20 result: of the attempt that completed       store (what it returned), door (what it sent)
21 completion in a transaction                 test_ledger.py
22 enqueue in a transaction                    test_ledger.py
23 batches and dependencies                    not built
24 dead letters whole, can be redriven         store, door; "a_redriven_job_keeps_its_history" and others
25 counts are what is there                    store, by queue and state. Metrics: not built
26 pruning spares the live and the young       "deleting_by_age_spares_the_young_and_the_unfinished"; test_worker.py
27 arguments come as they were sent            door (wish, claim, dump), store (what the handler saw)
28 tenants                                     no such thing: an engine's namespace or schema, test_*_engine.py
29 audit                                       not built: nothing records who did what
"""

from __future__ import annotations

from fire_history import History
from rules_door import wrong_at_the_door
from rules_store import wrong_in_the_store


def violations(history: History) -> list[str]:
    """What is wrong, in words; empty when nothing is."""
    return [*wrong_in_the_store(history), *wrong_at_the_door(history)]
