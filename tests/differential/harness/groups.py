"""The groups of the run: which tables they draw from, over how many connections, and with whom."""
import dataclasses

import scripts  # noqa: F401  (its pools)
import tables
from player import PROLOGUE_COMMANDS, Round
from template import Table
from words import POOLS, Generator, pool

# From the oldest: a table's level is the oldest peer that has its commands.
LEVELS = {"7.0": ("redis-7.0", "redis-8.0", "valkey-9.1"), "8.0": ("redis-8.0", "valkey-9.1"), "9.1": ("valkey-9.1",)}
_ORDER = list(LEVELS)
_payloads = []
_list_payload = []


def set_payloads(payloads, list_payload):
    """DUMPs that all servers read, for RESTORE."""
    _payloads[:] = payloads
    _list_payload[:] = [list_payload]


@pool
def payload(g):
    drawn = g.choice(_payloads)
    return drawn if g.random() < 0.95 else g.choice([b"", drawn[:-1], drawn[:-3] + b"xyz", b"\x00", drawn[:5]])


@pool
def listpayload(_):
    return _list_payload[0]


@pool
def idofother(_):
    """The id of the next connection, which the player puts in for each server."""
    return b"<id>"


@dataclasses.dataclass(frozen=True)
class Group:
    """tables: of what is drawn, each with the levels it has. length: commands of a round."""
    tables: tuple
    channels: int = 1
    lock_step: bool = False
    length: int = 400
    step: int = 1  # commands that one connection sends before it is another's turn, at most

    def levels(self):
        return sorted({level for table in self.tables for level in table}, key=_ORDER.index)


GROUPS = {
    "strings": Group((tables.STRINGS,)),
    "hashes": Group((tables.HASHES,)),
    "lists": Group((tables.LISTS,)),
    "sets": Group((tables.SETS,)),
    "sorted-sets": Group((tables.SORTED_SETS,)),
    "streams": Group((tables.STREAMS,)),
    "keys": Group((tables.KEYS,)),
    "transactions": Group((tables.MULTI,), channels=2, step=6),
    "scripts": Group((tables.SCRIPTS,), length=300),
    "blocking": Group((tables.BLOCKING,), channels=3, lock_step=True, length=150),
    "pubsub": Group((tables.PUBSUB,), channels=3, lock_step=True, length=150),
    "mixed": Group((tables.STRINGS, tables.HASHES, tables.LISTS, tables.SETS, tables.SORTED_SETS, tables.STREAMS, tables.KEYS)),
}
_made = {}


def _tables_of(group, level):
    """Tables of all levels up to this one, made once."""
    key = (id(group), level)
    if key not in _made:
        upto = _ORDER[:_ORDER.index(level) + 1]
        _made[key] = [Table("".join(table[at] for at in upto if at in table), POOLS) for table in group.tables]
    return _made[key]


def draw_round(name, seed, number, peers):
    """The round of that number: the same for the same seed. peers: names of those there are; a level nobody has is not drawn."""
    group = GROUPS[name]
    g = Generator(f"{seed} {name} {number}")
    there = [level for level in group.levels() if any(peer in peers for peer in LEVELS[level])]
    level = there[0] if g.random() < 0.5 else g.choice(there)
    chosen = _tables_of(group, level)
    commands = list(PROLOGUE_COMMANDS) if g.random() < 0.8 else []
    channel, left = 0, 0
    while len(commands) < group.length:
        words = g.choice(chosen).draw(g)
        if group.channels > 1:
            if left == 0:
                channel, left = g.randrange(group.channels), g.randrange(group.step) + 1
            left -= 1
        commands.append((channel, words))
    return Round(commands, group.channels, g.choice((2, 3)), g.random() < 0.4, group.lock_step, tuple(peer for peer in LEVELS[level] if peer in peers))

