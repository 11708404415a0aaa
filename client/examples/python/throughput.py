"""How many requests a second does a server answer, and how long do they take, as more clients come?

    python3 throughput.py                       # some seconds; again: what was measured already comes from the cache
    python3 throughput.py --again               # measures anew
    python3 throughput.py --clients 1 2 4 8 16 --requests 2000

The server is a small one on the loopback interface that this program starts itself. Each client is a process. Two tables:

    requests    a row a request
    throughput  a row a level of concurrency: rate, p50, p95, p99; and what the machine had to do meanwhile, which the daemon
                samples (`log_system_params`): `cpu`, `memory_percent`, `p_memory_percent`, `disk_percent`
"""
import argparse
import hashlib
import multiprocessing
import os
import socket
import socketserver
import time
from dataclasses import dataclass

from serving import served

from xetrackd import Reader, Tracker


# ---- the server

class Handler(socketserver.StreamRequestHandler):
    """A line with a number of kilobytes; the answer is the digest of so many zeros."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(hashlib.blake2b(bytes(1024 * int(line))).hexdigest().encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


# ---- the load

@dataclass(frozen=True, slots=True)
class Load:
    clients: int
    requests: int  # of each client
    kilobytes: int = 16


address = requests_tracker = None  # where the load goes, and where its rows: no part of what is measured


def client(load: Load, together, where: tuple, tracker: Tracker, times_to) -> None:
    """One client: all its requests over one connection, begun when all others are there."""
    with socket.create_connection(where) as s, s.makefile("rwb", buffering=0) as line:
        times, size = [], b"%d\n" % load.kilobytes
        together.wait()
        for number in range(load.requests):
            begun = time.perf_counter()
            line.write(size)
            ok = len(line.readline()) == 129
            times.append(1e3 * (time.perf_counter() - begun))
            tracker.log({"client": os.getpid(), "clients": load.clients, "number": number, "latency_ms": times[-1], "ok": ok})
    times_to.send(times)


def measure(load: Load) -> dict:
    """One row of `throughput`: so many clients at once."""
    together = multiprocessing.Barrier(load.clients + 1)
    ends = [multiprocessing.Pipe(duplex=False) for _ in range(load.clients)]
    clients = [multiprocessing.Process(target=client, args=(load, together, address, requests_tracker, w)) for _, w in ends]
    for process in clients:
        process.start()
    together.wait()
    begun = time.perf_counter()
    times = sorted(t for r, _ in ends for t in r.recv())
    seconds = time.perf_counter() - begun
    for process in clients:
        process.join()
    return {"clients": load.clients, "n": len(times), "requests_per_second": len(times) / seconds, "max_ms": times[-1],
            **{f"p{p}_ms": times[min(len(times) - 1, len(times) * p // 100)] for p in (50, 95, 99)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", default="benchmark.db")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--kilobytes", type=int, default=16)
    parser.add_argument("--again", action="store_true", help="measure what was measured already")
    args = parser.parse_args()

    global address, requests_tracker
    with served(Server, Handler) as address:
        requests_tracker = Tracker(args.db, table="requests")
        tracker = Tracker(args.db, table="throughput", cache=True, log_system_params=True, measurement_interval=0.05)
        print("clients  requests/s   p50 ms   p95 ms   p99 ms   max ms")
        for clients in args.clients:
            row = tracker.track(measure, args=[Load(clients, args.requests, args.kilobytes)], cache_force=args.again)
            print(f"{row['clients']:7} {row['requests_per_second']:11.0f} {row['p50_ms']:8.2f} {row['p95_ms']:8.2f} "
                  f"{row['p99_ms']:8.2f} {row['max_ms']:8.2f}")

    calls, computed = Reader(args.db).conn.execute("SELECT count(*), sum(cache = '') FROM throughput WHERE track_id = ?",
                                                   [tracker.track_id]).fetchone()
    print(f"{calls} calls: {computed} computed, {calls - computed} from the cache")


if __name__ == "__main__":
    main()
