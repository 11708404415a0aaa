"""For the examples that measure a server: it runs in a process of its own, on a free port of the loopback interface."""
import multiprocessing
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager


def _serve(server: type[socketserver.TCPServer], handler: type[socketserver.BaseRequestHandler], port_to) -> None:
    with server(("127.0.0.1", 0), handler) as made:
        port_to.send(made.server_address[1])
        made.serve_forever()


@contextmanager
def served(server: type[socketserver.TCPServer], handler: type[socketserver.BaseRequestHandler]) -> Iterator[tuple[str, int]]:
    """Its address, as long as the `with` lasts."""
    port_from, port_to = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_serve, args=(server, handler, port_to), daemon=True)
    process.start()
    port_to.close()
    try:
        yield "127.0.0.1", port_from.recv()
    finally:
        process.terminate()
        process.join()
