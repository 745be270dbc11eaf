"""Servers for a guest's HTTP clients: Python's own HTTP server, and one of plain TCP. Arguments: HTTP_PORT TCP_PORT."""
import hashlib
import http.server
import json
import socket
import socketserver
import sys
import threading

turn = threading.Condition()
# The number of the event that may be sent: the client asks for the next when it has the last.
wanted = 0
# The digest of what came to a server that had ended its side.
kept = None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start_chunks(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_GET(self):
        global wanted
        if self.path == "/chunks":
            self.start_chunks("application/octet-stream")
            for number in range(1000):
                self.chunk(bytes([number % 256]) * (number * 7 + 1))
            self.chunk(b"")
        elif self.path == "/events":
            self.start_chunks("text/event-stream")
            for number in range(20):
                with turn:
                    turn.wait_for(lambda: wanted >= number)
                self.chunk(b"data: %d\n\n" % number)
            self.chunk(b"")
        elif self.path.startswith("/zeros/"):
            left = int(self.path[7:])
            self.send_response(200)
            self.send_header("Content-Length", str(left))
            self.end_headers()
            while left > 0:
                piece = bytes(min(left, 1 << 20))
                self.wfile.write(piece)
                left -= len(piece)
        elif self.path.startswith("/want/"):
            with turn:
                wanted = int(self.path[6:])
                turn.notify_all()
            self.answer(wanted)
        else:
            self.answer({"path": self.path, "port": self.client_address[1]})

    def do_PUT(self):
        digest, size = hashlib.sha256(), 0
        for piece in self.pieces():
            digest.update(piece)
            size += len(piece)
        self.answer({"sha256": digest.hexdigest(), "bytes": size, "expect": self.headers.get("Expect")})

    do_POST = do_PUT

    def pieces(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers["Content-Length"])
            while left > 0:
                piece = self.rfile.read(min(left, 65536))
                if not piece:
                    raise ConnectionError("the body ended early")
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()


class Plain(socketserver.StreamRequestHandler):
    """Speaks first. Then the client's first line says who ends its side first; what came is answered, or kept for one that asks."""

    def handle(self):
        global kept
        self.wfile.write(b"220 ready\n")
        word = self.rfile.readline().strip()
        if word == b"echo":
            while data := self.rfile.read1(65536):
                self.request.sendall(data)
        elif word == b"client-ends":
            data = self.rfile.read()
            self.wfile.write(hashlib.sha256(data).hexdigest().encode())
        elif word == b"server-ends":
            self.wfile.write(b"nothing more from here")
            self.request.shutdown(socket.SHUT_WR)
            data = self.rfile.read()
            with turn:
                kept = hashlib.sha256(data).hexdigest().encode()
                turn.notify_all()
        elif word == b"last":
            with turn:
                turn.wait_for(lambda: kept is not None)
            self.wfile.write(kept)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True


# What is waited for listens last.
for handler, port in ((Plain, sys.argv[2]), (Handler, sys.argv[1])):
    threading.Thread(target=Server(("127.0.0.1", int(port)), handler).serve_forever).start()
