"""Clients that do what no client should. Each behaviour is a function that goes on until `stop` is set, in a thread.

behave(server, stop, tally): tally counts what came of it, under the words of OUTCOMES.
"""
import collections
import select
import socket
import struct
import time

# connects: made; errors: error replies; closed: by the server; silent: neither within _PATIENCE_S, where one of them is due.
OUTCOMES = ("connects", "errors", "closed", "silent")
# As linux/tcp.h names it: a socket in repair is closed without a word to the other end.
_TCP_REPAIR = 19
_PATIENCE_S = 5
_SOURCES = 8  # addresses to connect from, as one has 28,000 ports
BIG_BYTES = 100_000  # value of the key "big"


def tally():
    return collections.Counter()


def _connect(server, seen, timeout_s=_PATIENCE_S):
    """From addresses in turn; None if the server has no room (the kernel's queue is full)."""
    sock = socket.socket()
    try:
        sock.settimeout(timeout_s)
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports by destination
        sock.bind((f"127.0.1.{1 + seen['connects'] % _SOURCES}", 0))
        sock.connect(("127.0.0.1", server.port))
    except OSError:
        sock.close()
        return None
    seen["connects"] += 1
    return sock


def _reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _verdict(sock, seen):
    """An error reply or the end of the connection is due."""
    try:
        answer = sock.recv(4096)
        seen["errors" if answer.startswith(b"-") else "closed" if not answer else "silent"] += 1
    except ConnectionError:
        seen["closed"] += 1
    except TimeoutError:
        seen["silent"] += 1


def oversized_arguments(server, stop, seen):
    """Lengths beyond every limit, an endless inline command; and arguments that are allowed, announced and never sent."""
    refused = [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999999999999999999\r\n",
               b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-5\r\n", b"*2147483648\r\n", b"*1\r\n$abc\r\n", b"x" * 200_000]
    announced = [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\n" + b"v" * 65536, b"*1000000\r\n$1\r\na\r\n"]
    waiting = []
    try:
        while not stop.is_set():
            for text in refused:
                if (sock := _connect(server, seen)) is None:
                    continue
                try:
                    sock.sendall(text)
                    _verdict(sock, seen)
                except ConnectionError:
                    seen["closed"] += 1
                sock.close()
            if len(waiting) < 200:
                for text in announced:
                    if (sock := _connect(server, seen)) is not None:
                        sock.sendall(text)
                        waiting.append(sock)
            time.sleep(0.005)
    finally:
        for sock in waiting:
            sock.close()


def deep_pipelines(server, stop, seen):
    """Ten connections that always have 10,000 commands under way, and read the replies."""
    text = b"".join(b"*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n" % (i * 7) for i in range(10_000))
    clients = {}
    with select.epoll() as poll:
        for _ in range(10):
            if (sock := _connect(server, seen)) is not None:
                sock.setblocking(False)
                clients[sock.fileno()] = [sock, 0]
                poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        while not stop.is_set():
            for fd, events in poll.poll(0.1):
                entry = clients[fd]
                if events & select.EPOLLIN and not entry[0].recv(1 << 20):
                    raise ConnectionError("the server closed a connection that only had a deep pipeline")
                if events & select.EPOLLOUT:
                    entry[1] = (entry[1] + entry[0].send(text[entry[1]:])) % len(text)
    for sock, _ in clients.values():
        sock.close()


def half_open_connections(server, stop, seen):
    """Clients whose machine went away: no end of the connection is ever sent, half of them in the middle of a command."""
    while not stop.is_set():
        for _ in range(20):
            if (sock := _connect(server, seen)) is None:
                continue
            sock.sendall(b"PING\r\n" if seen["connects"] % 2 else b"*2\r\n$3\r\nGET\r\n$100\r\nabc")
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
            sock.close()
        time.sleep(0.02)


def connects(server, stop, seen):
    """One connect after the other as fast as they go; a third end properly, a third by a reset, a third send half a command."""
    while not stop.is_set():
        if (sock := _connect(server, seen)) is None:
            continue
        kind = seen["connects"] % 3
        if kind == 1:
            _reset(sock)
            continue
        if kind == 2:
            sock.sendall(b"*2\r\n$3\r\nGE")
        sock.close()


def clients_that_never_read(server, stop, seen):
    """Fifty clients that ask for a value of 100 kB again and again and read nothing; who is closed comes again."""
    text = b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 1000
    clients = []
    while not stop.is_set():
        while len(clients) < 50 and (sock := _connect(server, seen)) is not None:
            sock.setblocking(False)
            clients.append(sock)
        left = []
        for sock in clients:
            try:
                sock.send(text)
                left.append(sock)
            except BlockingIOError:
                left.append(sock)
            except ConnectionError:
                seen["closed"] += 1
                sock.close()
        clients = left
        stop.wait(0.05)
    for sock in clients:
        sock.close()


def one_byte_a_second(server, stop, seen):
    """A thousand clients that send a byte of a long command each second."""
    text = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$100\r\n" + b"v" * 100 + b"\r\n"
    clients = [sock for _ in range(1000) if (sock := _connect(server, seen)) is not None]
    place = 0
    while not stop.is_set():
        for index, sock in enumerate(clients):
            # Spread over the second.
            if index % 100 == 0 and stop.wait(0.1):
                break
            try:
                sock.send(text[place % len(text):place % len(text) + 1])
            except ConnectionError:
                seen["closed"] += 1
        place += 1
    for sock in clients:
        sock.close()
