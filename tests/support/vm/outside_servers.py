"""What tests find outside of a sandbox: TCP and UDP echo at 7, a greeting at 17, what was sent by its SHA-256 at 9, and DNS."""
import hashlib
import socket
import socketserver
import struct
import threading


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class Greeting(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"hello from outside\n")


class Digest(socketserver.BaseRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while data := self.request.recv(1 << 16):
            digest.update(data)
        self.request.sendall(digest.hexdigest().encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    def handle_error(self, request, client_address):
        pass  # resets are what some tests are about

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


def echo_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", 7))
        while True:
            data, peer = server.recvfrom(1 << 16)
            server.sendto(data, peer)


def answer_names():
    """Each name has the address 1.2.3.4, and no other records."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", 53))
        while True:
            query, peer = server.recvfrom(4096)
            end = query.index(0, 12) + 5
            is_address = query[end - 4 : end - 2] == b"\0\1"
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_address), 0, 0)
            record = struct.pack("!HHHIH4B", 0xC00C, 1, 1, 60, 4, 1, 2, 3, 4)
            server.sendto(head + query[12:end] + (record if is_address else b""), peer)


servers = [Server(("", port), handler) for port, handler in ((7, Echo), (17, Greeting), (9, Digest))]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
for serve in (echo_datagrams, answer_names):
    threading.Thread(target=serve, daemon=True).start()
print("serving", flush=True)
threading.Event().wait()
