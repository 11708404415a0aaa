"""Eight processes that meet: the body of a listing in each worker of a pool, begun by all at once."""
import multiprocessing
import os

WORKERS = 8
TIMEOUT = 5 * float(os.environ.get("XT_TEST_TIMEOUT", "60"))
_barrier = None


def _enter(barrier):
    global _barrier
    _barrier = barrier


def _work(body, args):
    _barrier.wait(TIMEOUT)  # so each worker takes exactly one
    return body(*args)


def in_workers(body, *args, method="fork", workers=WORKERS):
    """body(worker, *args) in each worker; what they returned. Their rows are stored: each worker left by itself."""
    context = multiprocessing.get_context(method)
    with context.Pool(workers, initializer=_enter, initargs=(context.Barrier(workers),)) as pool:
        said = pool.starmap_async(_work, [(body, (i, *args)) for i in range(workers)], chunksize=1).get(TIMEOUT)
        pool.close()
        pool.join()
    return said


def pool_map(function, items, processes, method="fork"):
    """pool.map() in small chunks, with an end; the workers' rows are stored."""
    with multiprocessing.get_context(method).Pool(processes) as pool:
        said = pool.map_async(function, items, 1).get(TIMEOUT)
        pool.close()
        pool.join()
    return said
