"""What get and set of diskcache.Cache take: diskcache_times.py DIR SIZE ENTRIES GETS SETS

Prints µs: the median and the 99th percentile of gets, then of sets. Status 3: there is no diskcache.
"""
import sys
import time

try:
    import diskcache
except ImportError:
    sys.exit(3)


def times(f, n, entries):
    took = []
    for k in range(n):
        key = f"key:{k * 7919 % entries:08d}"
        start = time.perf_counter_ns()
        f(key)
        took.append(time.perf_counter_ns() - start)
    took.sort()
    return [took[int(q * (n - 1) + 0.5)] / 1000 for q in (0.5, 0.99)]


directory, size, entries, gets, sets = sys.argv[1], *map(int, sys.argv[2:])
with diskcache.Cache(f"{directory}/diskcache") as cache:
    value = b"x" * size
    for i in range(entries):
        cache.set(f"key:{i:08d}", value)
    print(*times(cache.get, gets, entries), *times(lambda key: cache.set(key, value), sets, entries))
