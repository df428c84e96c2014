"""Plays a round, which is a list of (connection, words), on all servers at once and compares what they answer.

A segment is what one connection sends without waiting. Groups whose commands may wait for others go in lock step: one
command, then two PINGs one after the other on a connection that does nothing else. A server that serves all
connections from one thread has then executed the command, and has written all that it led to. What has come is
compared by connection; a reply or message that one server has sent is waited for from the others.
"""
import dataclasses
import time

import known
import normal
import wire
from words import ALL_KEYS, GEO_KEYS, LEX_KEYS, PROLOGUE

SEGMENT = 100
_SMALL = [("hash-max-listpack-entries", 4), ("hash-max-listpack-value", 10), ("set-max-listpack-entries", 4), ("set-max-listpack-value", 10),
          ("set-max-intset-entries", 4), ("zset-max-listpack-entries", 4), ("zset-max-listpack-value", 10), ("list-max-listpack-size", 3),
          ("stream-node-max-entries", 3), ("hll-sparse-max-bytes", 100)]
_USUAL = [("hash-max-listpack-entries", 512), ("hash-max-listpack-value", 64), ("set-max-listpack-entries", 128), ("set-max-listpack-value", 64),
          ("set-max-intset-entries", 512), ("zset-max-listpack-entries", 128), ("zset-max-listpack-value", 64), ("list-max-listpack-size", -2),
          ("stream-node-max-entries", 100), ("hll-sparse-max-bytes", 3000)]
PROLOGUE_COMMANDS = [(0, line.split()) for line in PROLOGUE]
_STORED = ALL_KEYS + LEX_KEYS + GEO_KEYS + [b"nokey", b"nokey2"]
_SCRATCH = b"scratch of the comparison"
_NO_REPLY = b"-(the connection was closed, or nothing came for 10 seconds)\r\n"


@dataclasses.dataclass
class Round:
    """How a round is played. channels: connections; protocol: 2 or 3; small: with low limits of encodings; peers: who takes part."""
    commands: list
    channels: int = 1
    protocol: int = 2
    small: bool = False
    lock_step: bool = False
    peers: tuple = ()

    def __post_init__(self):
        if self.channels > 1 and not self.lock_step:
            self.commands = _never_waiting(self.commands, self.channels)

    def with_commands(self, commands):
        return dataclasses.replace(self, commands=commands)


@dataclasses.dataclass
class Difference:
    """index: of the command in the round. replies: server -> raw reply."""
    index: int
    channel: int
    words: list
    replies: dict

    @property
    def signature(self):
        """What makes two differences the same one: the command, and what kinds of reply it got."""
        kinds = []
        for raw in self.replies.values():
            kinds.append(raw[:1] + (raw.split(b"'")[0][:40] if raw[:1] == b"-" else b""))
        return self.words[0].upper(), tuple(kinds)


class _Found(Exception):
    """Carries a Difference."""


class Tally:
    """What was sent and what came back, over all rounds of a group."""

    def __init__(self):
        self.commands = self.errors = self.states = 0
        self.verbs = {}
        self.verb_errors = {}
        self.excused = {}
        self.left_out = 0


class Player:
    """ours: the node's Server; peers: name -> Server; replica: that of the node. Owns a control connection to each."""

    def __init__(self, ours, peers, replica):
        self.replica = wire.Channel(replica.port)
        self.servers = {"understudy": ours, **peers}
        self.controls = {name: wire.Channel(server.port) for name, server in self.servers.items()}
        self.small = None
        self.tally = Tally()
        self.patience_s = 2  # how long a reply is waited for that another server has sent

    def play(self, played):
        """Returns the first Difference, or None."""
        return _Run(self, played).run()

    def renew(self, start):
        """Starts peers anew that have ended; returns their names. Our node must not end: that is for the caller to see."""
        ended = []
        deadline = time.monotonic() + 5  # a connection ends a moment before its process
        while not ended and time.monotonic() < deadline:
            ended = [name for name, server in self.servers.items() if server.process.poll() is not None]
        for name in ended:
            if name != "understudy":
                self.servers[name] = start(self.servers[name].contender)
                self.controls[name] = wire.Channel(self.servers[name].port)
                self.small = None
        return ended

    def control(self, name, commands):
        channel = self.controls[name]
        channel.send(b"".join(map(wire.encode, commands)))
        return channel.take(len(commands))

    def reset(self, names, small):
        if self.small != small:
            limits = [[b"CONFIG", b"SET", option.encode(), b"%d" % value] for option, value in (_SMALL if small else _USUAL)]
            for name in self.servers:
                self.control(name, limits)
            for command in limits:
                self.replica.ask(*command)
            self.small = small
        for name in names:
            self.control(name, [[b"FLUSHALL"], [b"FUNCTION", b"FLUSH"], [b"SCRIPT", b"FLUSH"]])


# A connection that several patterns of match hears them in any order, and leaves channels that it does not name in any order.
_MESSAGES_IN_ANY_ORDER = {b"PUBLISH", b"SPUBLISH", b"EXEC"}
_ALL_IN_ANY_ORDER = {b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"}


def _named_in_order(replies):
    """Replies of an UNSUBSCRIBE without names, as if it had left the channels by their order."""
    values = [wire.parse(raw)[0] for raw in replies]
    if any(not isinstance(items, list) or len(items) != 3 or items[1][1] is None for _, items in values):
        return replies
    names = sorted(wire.encode([items[1][1]])[4:] for _, items in values)
    return [b"%b3\r\n$%d\r\n%b\r\n%b:%b\r\n" % (kind.encode(), len(items[0][1]), items[0][1], name, items[2][1])
            for (kind, items), name in zip(values, names)]


def _never_waiting(commands, channels):
    """Without those commands that could wait for another connection; in a transaction they do not wait and may stay."""
    in_transaction = [False] * channels
    out = []
    for channel, words in commands:
        verb = words[0].upper()
        if verb == b"MULTI" and len(words) == 1:
            in_transaction[channel] = True
        elif verb == b"EXEC" or (verb in (b"DISCARD", b"RESET") and len(words) == 1):
            # An EXEC that is refused for its arguments ends the transaction too.
            in_transaction[channel] = False
        elif (b"BLOCK" in words or (verb[:1] == b"B" and verb[:3] != b"BIT")) and not in_transaction[channel]:
            continue
        out.append((channel, words))
    return out


class _Run:
    def __init__(self, player, played):
        self.player = player
        self.round = played
        self.names = ["understudy", *played.peers]
        self.tally = player.tally
        self.queued = [None] * played.channels  # per connection: the commands of its transaction
        self.channels = {}

    def run(self):
        self.player.reset(self.names, self.round.small)
        try:
            for name in self.names:
                self.channels[name] = [self._connect(name) for _ in range(self.round.channels)]
            self.ids = {name: [channel.id for channel in channels] for name, channels in self.channels.items()}
            if self.round.lock_step:
                self._in_lock_step()
            else:
                self._in_segments()
            self._compare_states()
        except _Found as found:
            return found.args[0]
        finally:
            for channels in self.channels.values():
                for channel in channels:
                    channel.close()
            if self.round.lock_step:
                self._barrier()
        return None

    def _connect(self, name):
        channel = wire.Channel(self.player.servers[name].port)
        if self.round.protocol == 3:
            channel.ask("HELLO", "3")
        channel.id = channel.ask("CLIENT", "ID")[1:-2] if self.round.lock_step else b""
        return channel

    def _barrier(self):
        for _ in range(2):
            for name in self.names:
                self.player.controls[name].send(b"*1\r\n$4\r\nPING\r\n")
            for name in self.names:
                self.player.controls[name].take(1)

    # ---- every command has one reply

    def _in_segments(self):
        commands = self.round.commands
        start = 0
        while start < len(commands):
            channel = commands[start][0]
            end = start
            while end < len(commands) and end - start < SEGMENT and commands[end][0] == channel:
                end += 1
            self._segment(start, end, channel)
            start = end

    def _segment(self, start, end, channel):
        words = [command[1] for command in self.round.commands[start:end]]
        data = b"".join(map(wire.encode, words))
        closed = set()
        for name in self.names:
            try:
                self.channels[name][channel].send(data)
            except wire.Closed:
                closed.add(name)
        replies = {}
        for name in self.names:
            try:
                replies[name] = self.channels[name][channel].take(end - start)
            except wire.Closed as error:
                replies[name] = [*(error.args[1] if len(error.args) > 1 else []), _NO_REPLY]
                closed.add(name)
        ours = replies["understudy"]
        for at in range(max(map(len, replies.values()))):
            met = {name: replies[name][at] if at < len(replies[name]) else _NO_REPLY for name in self.names if name in replies}
            self._count(words[at], met["understudy"])
            if any(raw != met["understudy"] for raw in met.values()):
                for name in self._judge(start + at, channel, words[at], met):
                    self._leave_out(name)
                    del replies[name]
            if met["understudy"] is _NO_REPLY:
                raise _Found(Difference(start + at, channel, words[at], met))
            self._follow_transaction(channel, words[at], ours[at])

    def _count(self, words, raw):
        tally = self.tally
        tally.commands += 1
        verb = words[0]
        tally.verbs[verb] = tally.verbs.get(verb, 0) + 1
        if raw[0] == 45:
            tally.errors += 1
            tally.verb_errors[verb] = tally.verb_errors.get(verb, 0) + 1

    def _follow_transaction(self, channel, words, raw):
        if raw == b"+QUEUED\r\n":
            if self.queued[channel] is None:
                self.queued[channel] = []
            self.queued[channel].append(words)
        elif words[0].upper() in (b"EXEC", b"DISCARD", b"RESET"):
            self.queued[channel] = None

    def _judge(self, index, channel, words, met):
        """Names of peers that have gone a way of their own, which is known; raises _Found when it is not."""
        queued = self.queued[channel] if words[0].upper() == b"EXEC" else None
        values = {}
        for name, raw in met.items():
            value = wire.parse(raw)[0]
            values[name] = normal.shown(words, value) if queued is None else normal.shown_in_transaction(queued, value)
        ours = values["understudy"]
        same = [name for name in values if name != "understudy" and values[name] == ours]
        apart = [name for name in values if name != "understudy" and values[name] != ours]
        leaving = []
        earlier = [command[1] for command in self.round.commands[:index]]
        for name in apart:
            excuse = known.excuse(name, words, ours, values[name], same, queued, earlier)
            if excuse is None:
                raise _Found(Difference(index, channel, words, met))
            key = (name, excuse.reason)
            self.tally.excused[key] = self.tally.excused.get(key, 0) + 1
            if not excuse.same_state:
                leaving.append(name)
        return leaving

    def _leave_out(self, name):
        self.tally.left_out += 1
        self.names.remove(name)
        if len(self.names) == 1:
            # Nobody is left to compare with: the rest of the round says nothing.
            raise _Found(None)

    # ---- commands that wait, and messages

    def _in_lock_step(self):
        waiting = [0] * self.round.channels  # replies that a connection has not got
        streams = {}
        for index, (channel, words) in enumerate(self.round.commands):
            if waiting[channel]:
                continue
            for name in self.names:
                own = [self.ids[name][(channel + 1) % self.round.channels] if word == b"<id>" else word for word in words]
                self.channels[name][channel].send(wire.encode(own))
            self._barrier()
            streams = {name: [self._arrived(name, at) for at in range(self.round.channels)] for name in self.names}
            for at in range(self.round.channels):
                most = max(len(streams[name][at]) for name in self.names)
                for name in self.names:
                    self._complete(name, at, streams[name][at], most)
            self._count(words, streams["understudy"][channel][0] if streams["understudy"][channel] else b"+")
            waiting[channel] += 1
            for at in range(self.round.channels):
                if words[0].upper() in _MESSAGES_IN_ANY_ORDER:
                    for name in self.names:
                        streams[name][at].sort()
                elif len(words) == 1 and words[0].upper() in _ALL_IN_ANY_ORDER:
                    for name in self.names:
                        streams[name][at] = _named_in_order(streams[name][at])
                for place in range(len(streams["understudy"][at])):
                    met = {name: streams[name][at][place] for name in self.names}
                    about = words if at == channel and place == 0 else [words[0], b"(heard by connection %d)" % at]
                    if any(raw != met["understudy"] for raw in met.values()):
                        for name in self._judge(index, at, about, met):
                            self._leave_out(name)
                    self._follow_transaction(at, about, met["understudy"])
                # Messages are no replies; but whoever listens waits for nothing.
                waiting[at] = max(0, waiting[at] - len(streams["understudy"][at]))

    def _arrived(self, name, at):
        try:
            return self.channels[name][at].take_arrived()
        except wire.Closed:
            return [_NO_REPLY]

    def _complete(self, name, at, replies, most):
        if len(replies) < most:
            try:
                self.channels[name][at].socket.settimeout(self.player.patience_s)
                replies += self.channels[name][at].take(most - len(replies))
            except wire.Closed as closed:
                replies += closed.args[1]
                replies += [_NO_REPLY] * (most - len(replies))

    # ---- what is stored

    def _compare_states(self):
        """Each key's DUMP into the other kind of server: there it must be what that server has itself."""
        self.tally.states += 1
        self._compare_with_replica()
        dumps = {name: self.player.control(name, [[verb, key] for key in _STORED for verb in (b"DUMP", b"PTTL")]) for name in self.names}
        for name in self.names[1:]:
            self._compare_dumps(name, "understudy", dumps[name])
            if name in known.READS_OUR_DUMPS:
                self._compare_dumps("understudy", name, dumps["understudy"])

    def _compare_with_replica(self):
        _, _, acknowledged, ours = self.player.control("understudy", [[b"SET", _SCRATCH, b"last"], [b"DEL", _SCRATCH], [b"WAIT", b"1", b"10000"],
                                                                      [b"DEBUG", b"DIGEST"]])
        replica = self.player.replica.ask("DEBUG", "DIGEST")
        if acknowledged != b":1\r\n" or ours != replica:
            raise _Found(Difference(len(self.round.commands), 0, [b"(DEBUG DIGEST)"], {"understudy": ours, "its replica": replica, "WAIT": acknowledged}))

    def _compare_dumps(self, source, target, dumps):
        keys = [(key, wire.parse(dump)[0][1], left) for key, dump, left in zip(_STORED, dumps[::2], dumps[1::2])]
        commands = []
        for key, payload, left in keys:
            ttl = b"0" if left[1:2] == b"-" else b"1000000"
            commands += [[b"RESTORE", _SCRATCH, ttl, payload, b"REPLACE"] if payload is not None else [b"DEL", _SCRATCH],
                         [b"DEBUG", b"DIGEST-VALUE", key, _SCRATCH], [b"DEL", _SCRATCH]]
        replies = self.player.control(target, commands)
        for at, (key, payload, _) in enumerate(keys):
            restored, digests = replies[3 * at], wire.parse(replies[3 * at + 1])[0][1]
            two = [value[1] for value in digests] if isinstance(digests, list) else [digests, digests]
            if (payload is not None and restored != b"+OK\r\n") or two[0] != two[1]:
                if known.excuse_state(source, target, payload, restored):
                    continue
                words = [b"(DUMP of " + source.encode() + b" restored into " + target.encode() + b")", key]
                raise _Found(Difference(len(self.round.commands), 0, words, {source: b"$%d\r\n%s\r\n" % (len(payload or b""), payload or b""),
                                                                             target: restored + replies[3 * at + 1]}))
