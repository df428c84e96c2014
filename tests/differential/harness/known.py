"""Differences that are no faults of the node, each with its reason.

What Redis 7.2 does is the rule. It is no package any more, but it stands between others: Redis 7.0 and 8.0 are its past
and its future, Valkey began as its copy. So where two of the three agree they show what 7.2 does, and the node has to
do the same; who stands apart then needs no row here. Rows are for the rest, and for runs that have fewer peers.
"""
import dataclasses
import re
from typing import Callable

# Redis 7.0 takes RDB 10 and no newer; the node writes 11, as Redis 7.2 does.
READS_OUR_DUMPS = {"redis-8.0", "valkey-9.1"}


@dataclasses.dataclass(frozen=True)
class Known:
    """same_state: whether both servers hold the same data afterwards, so that the peer stays in the round.
    test(words, ours, theirs): whether it is this difference; replies as normal.shown makes them."""
    peer: str
    verbs: str
    test: Callable
    reason: str
    same_state: bool = True


@dataclasses.dataclass(frozen=True)
class Excuse:
    reason: str
    same_state: bool


def _number(value):
    if isinstance(value[1], bytes) and value[0] in "$,+":
        try:
            return float(value[1])
        except ValueError:
            pass
    return None


def same_numbers(ours, theirs):
    """Equal but for how floating-point numbers are written."""
    if ours == theirs:
        return True
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        if len(ours) == 2 and isinstance(ours[0], str) and isinstance(theirs[0], str):
            if ours[0] != theirs[0]:
                return False
            mine, other = _number(ours), _number(theirs)
            if mine is not None and other is not None:
                return mine == other or abs(mine - other) <= 1e-15 * abs(mine)
            return same_numbers(ours[1], theirs[1])
        return len(ours) == len(theirs) and all(map(same_numbers, ours, theirs))
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same_numbers, ours, theirs))
    return False


def error(value):
    return value[1] if value[0] == "-" else None


def both_errors(ours, theirs):
    return error(ours) is not None and error(theirs) is not None


def _numbers(_words, ours, theirs):
    return same_numbers(ours, theirs)


def _errors(_words, ours, theirs):
    return both_errors(ours, theirs)


def _only_they_refuse(_words, ours, theirs):
    return error(theirs) is not None and error(ours) is None


def _error_starts(text):
    def test(_words, ours, theirs):
        return both_errors(ours, theirs) and error(theirs).startswith(text)
    return test


def _but_for(*fields):
    """Equal once these fields of maps are left out, which one of the servers may not have."""
    def without(value):
        kind, items = value
        if not isinstance(items, list):
            return value
        out, skip = [], False
        for item in items:
            if skip:
                skip = False
            elif isinstance(item[1], bytes) and item[1] in fields:
                skip = True
            else:
                out.append(without(item))
        return kind, out

    def test(_words, ours, theirs):
        return without(ours) == without(theirs)
    return test


def _sub(name, test=lambda _words, _ours, _theirs: True):
    """Of this subcommand."""
    def checked(words, ours, theirs):
        return len(words) > 1 and words[1].upper() == name and test(words, ours, theirs)
    return checked


def _has_word(check):
    return lambda words, _ours, _theirs: any(map(check, words[1:]))


def _beyond_int(word):
    try:
        return abs(int(word)) >= 1 << 31
    except ValueError:
        return False


def _says(text):
    """The peer's reply has this somewhere."""
    return lambda _words, _ours, theirs: text in repr(theirs).encode()


def _fewer(_words, ours, theirs):
    return isinstance(ours[1], list) and isinstance(theirs[1], list) and len(theirs[1]) < len(ours[1])


_NO_CONSUMER = "makes no consumer that finds nothing to read or to claim"
_LENIENT = re.compile(rb"0x|^\(?\s")
_FIELD_TIMES = "HP?(EXPIRE|TTL|PERSIST|EXPIREAT|EXPIRETIME)|HGETEX|HSETEX|HGETDEL"
_EVERY = ("redis-7.0", "redis-8.0", "valkey-9.1")
_GROUP_FIELDS = (b"lag", b"active-time", b"inactive")


def _rows(peers, verbs, test, reason, same_state=True):
    return [Known(peer, verbs, test, reason, same_state) for peer in peers]


KNOWN = [
    # What Redis 7.2 changed after 7.0.
    Known("redis-7.0", "Z.*|GEO.*|BZ.*|EXEC|SORT.*|EVAL.*", _numbers, "writes scores with 17 digits, 7.2 with as many as are needed"),
    Known("redis-7.0", "OBJECT", _sub(b"ENCODING"), "has no listpacks for lists and for sets"),
    Known("redis-7.0", "XREAD|XREADGROUP", _error_starts(b"ERR Unbalanced"), "names no command in this error"),
    Known("redis-7.0", "Z(REV)?RANK", _error_starts(b"ERR wrong number of arguments"), "has no WITHSCORE"),
    Known("redis-7.0", "XINFO", _but_for(*_GROUP_FIELDS), "has no active-time; entries that were trimmed count in lag"),
    Known("redis-7.0", "XINFO", _but_for(*_GROUP_FIELDS, b"consumers"), _NO_CONSUMER),
    Known("redis-7.0", "XINFO", _sub(b"CONSUMERS", _fewer), _NO_CONSUMER),
    Known("redis-7.0", "XGROUP", _sub(b"CREATECONSUMER"), _NO_CONSUMER),
    Known("redis-7.0", "COMMAND", _sub(b"GETKEYS", _errors), "asks GETKEYS for an argument of the command first"),
    Known("redis-7.0", "BITPOS", _errors, "looks at the bit before the range"),
    Known("redis-7.0", "B(L|R|Z).*", _error_starts(b"ERR timeout is"), "takes an infinite time for a negative one"),
    Known("redis-7.0", "EVAL.*", _error_starts(b"ERR user_script:1: Script attempted to access nonexistent global variable 'os'"), "has no os in scripts"),
    # What Valkey does in its own way.
    Known("valkey-9.1", "XINFO", _but_for(*_GROUP_FIELDS), "entries that were trimmed count in lag; the node does as Redis 7.4"),
    Known("valkey-9.1", "SCAN", _error_starts(b"ERR unknown type name"), "refuses unknown types"),
    Known("valkey-9.1", "SCAN", _only_they_refuse, "refuses unknown types"),
    Known("valkey-9.1", "GEO.*", _errors, "names the member that is not there"),
    Known("valkey-9.1", "OBJECT", _sub(b"ENCODING"), "embeds strings of up to 128 bytes"),
    *_rows(("redis-8.0",), "GEO.*|Z.*", _numbers, "writes coordinates with as many digits as are needed"),
    *_rows(("redis-8.0", "valkey-9.1"), "Z.*|GEO.*|.*FLOAT", lambda words, ours, theirs: error(theirs) is not None and any(map(_LENIENT.search, words[1:])),
           "takes no hexadecimal numbers and no spaces before numbers, which 7.2 takes", False),
    *_rows(("redis-8.0", "valkey-9.1"), "SORT.*", lambda words, ours, theirs: error(theirs) == b"ERR One or more scores can't be converted into double",
           "takes no hexadecimal numbers and no spaces before numbers, which 7.2 takes", False),
    *_rows(("redis-8.0",), "XREAD", _error_starts(b"ERR Unbalanced"), "has the id + too"),
    # Fields with a time to live came after 7.2: the node takes Valkey's words.
    *_rows(("redis-8.0", "valkey-9.1"), _FIELD_TIMES, _errors, "has other words for errors of fields' times to live"),
    Known("redis-8.0", _FIELD_TIMES, _only_they_refuse, "takes no times beyond 2^46 ms for fields", False),
    Known("redis-8.0", "OBJECT", _sub(b"ENCODING", lambda _words, _ours, theirs: theirs[1] == b"listpackex"), "has an encoding of its own for fields' times to live"),
    # What the node takes and Redis refuses.
    *_rows(("redis-7.0", "redis-8.0"), "BITCOUNT", _only_they_refuse, "BITCOUNT with a start alone is Valkey's"),
    *_rows(("redis-7.0", "redis-8.0"), "BITCOUNT", lambda words, _ours, _theirs: len(words) == 3, "BITCOUNT with a start alone is Valkey's"),
    *_rows(_EVERY, "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: (ours[1], theirs[1]) == (b"int", b"raw")),
           "a SETBIT that changes no bit leaves the node's value as it is"),
    # What no version means to do.
    *_rows(_EVERY, "SORT.*", lambda words, ours, theirs: b"\\x00" in (repr(ours) + repr(theirs)).encode(),
           "SORT ALPHA reads words up to the first zero byte only"),
    *_rows(("redis-8.0", "valkey-9.1"), "LSET|LINDEX|LRANGE|LTRIM", _has_word(_beyond_int), "an index in a listpack is cut to 32 bits", False),
]


def excuse(peer, words, ours, theirs, same, queued):
    """Why the peer may differ, or None. same: peers that answer as the node does; queued: commands of the transaction that EXEC ends."""
    verb = words[0].upper().decode("latin-1")
    verbs = [verb] + ([queue[0].upper().decode("latin-1") for queue in queued] if queued else [])
    for row in KNOWN:
        if row.peer == peer and any(re.fullmatch(row.verbs, one) for one in verbs) and row.test(words, ours, theirs):
            return Excuse(row.reason, row.same_state)
    if len(same) >= 2:
        return Excuse(f"stands apart: {verb}", both_errors(ours, theirs) or verb in READERS or (verb == "SORT" and theirs[0] == "-"))
    return None


# Types of hashes whose fields have times to live: Valkey's and the node's, Redis 8's.
_HASHES_WITH_TIMES = {22, 24, 25}
_STREAM_OF_REDIS_7_0 = 19


def excuse_state(source, target, payload, restored):
    """Whether what the target made of the source's DUMP may differ from its own value."""
    if payload is not None and payload[0] == _STREAM_OF_REDIS_7_0:
        # It lacks consumers that found nothing.
        return restored == b"+OK\r\n"
    if payload is None or payload[0] not in _HASHES_WITH_TIMES:
        return False
    # A relative time is another one on each server; and Redis 8 does not know Valkey's type.
    return restored == b"+OK\r\n" or (source, target) == ("understudy", "redis-8.0")


READERS = set("""GET MGET STRLEN GETRANGE SUBSTR LCS GETBIT BITCOUNT BITPOS BITFIELD_RO HGET HMGET HLEN HSTRLEN HEXISTS HGETALL HKEYS HVALS HRANDFIELD HSCAN
HTTL HPTTL HEXPIRETIME HPEXPIRETIME LRANGE LINDEX LLEN LPOS SISMEMBER SMISMEMBER SCARD SMEMBERS SINTER SUNION SDIFF SINTERCARD SRANDMEMBER SSCAN ZCARD ZSCORE
ZMSCORE ZRANK ZREVRANK ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZCOUNT ZLEXCOUNT ZUNION ZINTER ZDIFF ZINTERCARD ZRANDMEMBER
ZSCAN GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO XLEN XRANGE XREVRANGE XREAD XPENDING XINFO TTL PTTL EXPIRETIME PEXPIRETIME TYPE EXISTS TOUCH OBJECT KEYS DBSIZE
SCAN RANDOMKEY SORT_RO DUMP ECHO PING COMMAND PUBSUB EVAL_RO FCALL_RO EVALSHA_RO""".split())
