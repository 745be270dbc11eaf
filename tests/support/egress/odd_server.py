"""A server of HTTP responses that proxies get wrong, written byte by byte. Argument: PORT."""
import socketserver
import sys

BODY = b"0123456789" * 1000

ANSWERS = {
    b"/until-close": (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + BODY, True),
    b"/close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY, True),
    b"/no-content": (b"HTTP/1.1 204 No Content\r\nX-Kind: none\r\n\r\n", False),
    b"/not-modified": (b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 10000\r\n\r\n", False),
    b"/empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    b"/hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + BODY,
        False,
    ),
    b"/trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        False,
    ),
    b"/repeated": (b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok", False),
    b"/reason": (b"HTTP/1.1 299 A reason of its own\r\nContent-Length: 2\r\n\r\nok", False),
    b"/no-reason": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", False),
    b"/latin1": (b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\nok", False),
    b"/long": (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 20000 + b"\r\nContent-Length: 2\r\n\r\nok", False),
}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            method, target, _ = line.split(b" ", 2)
            length = 0
            while (field := self.rfile.readline()) not in (b"\r\n", b""):
                if field.lower().startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            if target == b"/too-large":  # answers before the body is there, and reads the rest
                self.wfile.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                while length > 0 and (data := self.rfile.read(min(length, 65536))):
                    length -= len(data)
                return
            answer, ends = ANSWERS[target]
            if method == b"HEAD":
                answer = answer[: answer.index(b"\r\n\r\n") + 4]
            self.wfile.write(answer)
            if ends:
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
