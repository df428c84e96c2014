"""RESP as this harness needs it: commands to bytes, bytes to whole replies, replies to values, and words as redis-cli takes them."""
import re
import socket

_SIMPLE = frozenset(b"+-:_#,(")
_BULK = frozenset(b"$=!")
_AGGREGATE = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}


def encode(words):
    return b"*%d\r\n%s" % (len(words), b"".join([b"$%d\r\n%s\r\n" % (len(word), word) for word in words]))


def end_of_reply(data, start):
    """Where the reply that begins at start ends, or -1 while it is not all there."""
    left = 1
    while left:
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            return -1
        kind = data[start]
        if kind in _SIMPLE:
            start = line_end + 2
        elif kind in _BULK:
            length = int(data[start + 1:line_end])
            start = line_end + 2 + (length + 2 if length >= 0 else 0)
            if start > len(data):
                return -1
        else:
            # A KeyError: what the server sends is no RESP.
            left += max(0, int(data[start + 1:line_end])) * _AGGREGATE[kind]
            start = line_end + 2
        left -= 1
    return start


def parse(data, start=0):
    """(value, end). A value is (kind, bytes) or (kind, [values]); kind is the type byte as text; None instead of bytes for null."""
    line_end = data.index(b"\r\n", start)
    kind, rest = chr(data[start]), data[start + 1:line_end]
    start = line_end + 2
    if ord(kind) in _SIMPLE:
        return (kind, rest), start
    count = int(rest)
    if count < 0:
        return (kind, None), start
    if kind in "$=!":
        return (kind, data[start:start + count]), start + count + 2
    items = []
    for _ in range(count * _AGGREGATE[ord(kind)]):
        item, start = parse(data, start)
        items.append(item)
    return (kind, items), start


_PLAIN = re.compile(rb"^[A-Za-z0-9_.:/(\[+*?-]+$")


def quoted(word):
    """As redis-cli reads it."""
    if _PLAIN.match(word):
        return word.decode()
    text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word)
    return f'"{text}"'


def line(words):
    return " ".join(map(quoted, words))


def shown(value, limit=600):
    """A reply in one line, with its types."""
    kind, content = value
    if content is None:
        text = f"{kind}null"
    elif isinstance(content, list):
        text = kind + "[" + " ".join(shown(item, limit) for item in content) + "]"
    else:
        text = kind + (quoted(content) if kind in "$=!" else content.decode("latin-1"))
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class Closed(Exception):
    """The server closed the connection, or does not answer any more."""


class Channel:
    """One connection, which keeps what has arrived and is not taken yet."""

    def __init__(self, port, timeout_s=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def _receive(self, flags=0):
        try:
            part = self.socket.recv(1 << 20, flags)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Closed("no reply" if isinstance(error, TimeoutError) else str(error)) from error
        if not part:
            raise Closed("the connection was closed")
        self.data += part
        return True

    def _split(self, out, limit):
        start, data = 0, self.data
        while len(out) < limit:
            end = end_of_reply(data, start) if start < len(data) else -1
            if end < 0:
                break
            out.append(data[start:end])
            start = end
        self.data = data[start:]

    def take(self, count):
        """The next replies, raw; waits for them. What came before an end of the connection is in Closed.args[1]."""
        out = []
        self._split(out, count)
        try:
            while len(out) < count:
                self._receive()
                self._split(out, count)
        except Closed as closed:
            raise Closed(closed.args[0], out) from closed
        return out

    def take_arrived(self):
        """The replies that have arrived, raw; does not wait."""
        self.socket.setblocking(False)
        try:
            while self._receive():
                pass
        finally:
            self.socket.settimeout(10)
        out = []
        self._split(out, 1 << 30)
        return out

    def ask(self, *words):
        self.send(encode([word if isinstance(word, bytes) else str(word).encode() for word in words]))
        return self.take(1)[0]
