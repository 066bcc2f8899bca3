"""A relay before a server, which can be told to refuse, to be silent, slow, or to talk nonsense."""

import contextlib
import socket
import socketserver
import threading
import time

SLOW_SECONDS = 0.5
NONSENSE = b"\0\xff nonsense\r\n\r\n"


class Relay(socketserver.ThreadingTCPServer):
    """Passes on what comes, as long as its `mode` is `passing`; what is silent goes on when it passes again."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.backend = port
        self.mode = "passing"
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        if self.server.mode == "nonsense":
            self.request.sendall(NONSENSE)
        if self.server.mode in ("nonsense", "refusing"):
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.backend)) as backend:
            back = threading.Thread(target=self._copy, args=(backend, self.request), daemon=True)
            back.start()
            self._copy(self.request, backend)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while self.server.mode == "silent":
                    time.sleep(0.05)
                if self.server.mode == "slow":
                    time.sleep(SLOW_SECONDS)
                if self.server.mode in ("nonsense", "refusing"):
                    source.shutdown(socket.SHUT_RDWR)
                    break
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
