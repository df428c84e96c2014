"""A connection to a Redis-compatible server, for set-up and questions; the load itself comes from understudy-load."""
import socket

from progress import Failure


class Connection:
    def __init__(self, port, timeout_s=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb")

    def close(self):
        self.input.close()
        self.socket.close()

    def send(self, commands):
        """Sends commands together, each a list of words; replies() reads the answers."""
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            for word in words:
                word = str(word).encode()
                out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(out))

    def reply(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(f"the server answered {rest.decode(errors='replace')!r}")
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        length = int(rest)
        if kind == b"$":
            return None if length < 0 else self.input.read(length + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if length < 0 else [self.reply() for _ in range(length)]
        raise Failure(f"the server answered what is no RESP reply: {line[:80]!r}")

    def __call__(self, *words):
        self.send([words])
        return self.reply()
