"""Differences that are no faults of the node, each with its reason.

What Redis 7.2 does is the rule. It is no package any more, but it stands between others: Redis 7.0 and 8.0 are its past
and its future, and Valkey left Redis on the way to 7.4. A peer that differs needs no row here where the two others
agree with the node: it stands apart. Where 8.0 and Valkey differ from 7.0 together, the change came before 7.2 or
between 7.2 and 7.4; when it was the latter, and the node does as 7.0, a row says so. Rows are also for runs that have
fewer peers.
"""
import dataclasses
import re
from typing import Callable

# Redis 7.0 takes RDB 10 and no newer; the node writes 11, as Redis 7.2 does.
READS_OUR_DUMPS = {"redis-8.0", "valkey-9.1"}


@dataclasses.dataclass(frozen=True)
class Known:
    """after(words): whether a command of the round before this one leads to it. same_state: whether both servers hold the same data afterwards, so that the peer stays in the round.
    test(words, ours, theirs): whether it is this difference; replies as normal.shown makes them."""
    peer: str
    verbs: str
    test: Callable
    reason: str
    same_state: bool = True
    after: Callable = None


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


def same_numbers(ours, theirs, relative=1e-15, absolute=0.0):
    """Equal but for how floating-point numbers are written."""
    if ours == theirs:
        return True
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        if len(ours) == 2 and isinstance(ours[0], str) and isinstance(theirs[0], str):
            if ours[0] != theirs[0]:
                return False
            mine, other = _number(ours), _number(theirs)
            if mine is not None and other is not None:
                return mine == other or abs(mine - other) <= max(relative * abs(mine), absolute)
            return same_numbers(ours[1], theirs[1], relative, absolute)
        return len(ours) == len(theirs) and all(same_numbers(one, other, relative, absolute) for one, other in zip(ours, theirs))
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(same_numbers(one, other, relative, absolute) for one, other in zip(ours, theirs))
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


def _only_we_refuse(_words, ours, theirs):
    return error(ours) is not None and error(theirs) is None


def _error_is(text):
    return lambda _words, _ours, theirs: (error(theirs) or b"").startswith(text)


_MOVES = {b"LMOVE", b"BLMOVE", b"RPOPLPUSH", b"BRPOPLPUSH"}


def _is(verb):
    return lambda words: words[0].upper() == verb


def _negative_offset(words):
    upper = [word.upper() for word in words]
    return b"LIMIT" in upper[:-1] and upper[upper.index(b"LIMIT") + 1].startswith(b"-")


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


def _texts(value):
    content = value[1]
    return [text for item in content for text in _texts(item)] if isinstance(content, list) else [content or b""]


def _says(text):
    """The peer's reply has this somewhere."""
    return lambda _words, _ours, theirs: text in b" ".join(_texts(theirs))


def _either(*encodings):
    return lambda _words, _ours, theirs: theirs[1] in encodings


def _fewer(_words, ours, theirs):
    return isinstance(ours[1], list) and isinstance(theirs[1], list) and len(theirs[1]) < len(ours[1])


_NO_CONSUMER = "makes no consumer that finds nothing to read or to claim"
_LENIENT = re.compile(rb"0x|^\(?\s")
_FIELD_TIMES = "HP?(EXPIRE|TTL|PERSIST|EXPIREAT|EXPIRETIME)|HGETEX|HSETEX|HGETDEL"
def _with_messages(words, ours, theirs):
    return words[-1].startswith(b"(heard by") or _says(b"message")(words, ours, theirs)


_EVERY = ("redis-7.0", "redis-8.0", "valkey-9.1")
_GROUP_FIELDS = (b"lag", b"active-time", b"inactive")


def _rows(peers, verbs, test, reason, same_state=True, after=None):
    return [Known(peer, verbs, test, reason, same_state, after) for peer in peers]


KNOWN = [
    # What Redis 7.2 changed after 7.0.
    Known("redis-7.0", "Z.*|GEO.*|BZ.*|EXEC|SORT.*|EVAL.*", _numbers, "writes scores with 17 digits, 7.2 with as many as are needed"),
    Known("redis-7.0", "OBJECT", _sub(b"ENCODING", _either(b"quicklist", b"hashtable")), "has no listpacks for lists and for sets"),
    Known("redis-7.0", "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: (ours[1], theirs[1]) == (b"hashtable", b"listpack")),
          "does not take the number of arguments for that of a hash's fields"),
    Known("redis-7.0", "XSETID", _only_we_refuse, "sets an id below that of an entry that was deleted", False),
    Known("redis-7.0", "XREAD|XREADGROUP", _error_starts(b"ERR Unbalanced"), "names no command in this error"),
    Known("redis-7.0", "Z(REV)?RANK", _error_starts(b"ERR wrong number of arguments"), "has no WITHSCORE"),
    Known("redis-7.0", "XINFO", _but_for(*_GROUP_FIELDS), "has no active-time; entries that were trimmed count in lag"),
    Known("redis-7.0", "XINFO", _but_for(*_GROUP_FIELDS, b"entries-read", b"consumers"), _NO_CONSUMER),
    Known("redis-7.0", "XINFO", _sub(b"CONSUMERS", _fewer), _NO_CONSUMER),
    Known("redis-7.0", "XGROUP", _sub(b"CREATECONSUMER"), _NO_CONSUMER),
    Known("redis-7.0", "COMMAND", _sub(b"GETKEYS"), "asks GETKEYS for an argument of the command first"),
    Known("redis-7.0", "BITPOS|BITCOUNT", _only_we_refuse, "looks at the key before the range"),
    Known("redis-7.0", "BITPOS", _errors, "looks at the bit before the range"),
    Known("redis-7.0", "LPOS", _only_we_refuse, "takes the smallest number as a rank"),
    Known("redis-7.0", "EVAL.*|FCALL.*", lambda _words, ours, theirs: b"not allowed from script" in (error(theirs) or b""), "refuses commands that wait in scripts", False),
    Known("redis-7.0", "EXEC", _with_messages, "puts messages for the connection itself into EXEC's reply", False),
    Known("redis-7.0", "FUNCTION", _sub(b"FLUSH", _errors), "has other words for arguments of FUNCTION FLUSH"),
    Known("redis-7.0", "B(L|R|Z).*", _says(b"ERR timeout is"), "takes an infinite time for a negative one"),
    Known("redis-7.0", ".*", _error_starts(b"UNBLOCKED the stream key no longer exists"), "has an error of its own for a reader whose stream goes"),
    Known("redis-7.0", ".*", _error_starts(b"NOGROUP the consumer group this client was blocked on"), "has an error of its own for a reader whose group goes"),
    Known("redis-7.0", "EVAL.*", _says(b"nonexistent global variable 'os'"), "has no os in scripts"),
    # What Valkey does in its own way.
    Known("valkey-9.1", "XINFO", _but_for(*_GROUP_FIELDS), "entries that were trimmed count in lag; the node does as Redis 7.4"),
    Known("valkey-9.1", "EXEC", _says(b" script: on @user_script:"), "has its own words for errors of scripts"),
    Known("valkey-9.1", "EVAL.*|FCALL.*|FUNCTION|SCRIPT", _errors, "has its own words for errors of scripts"),
    Known("valkey-9.1", ".*", _error_starts(b"ERR Command '"), "has its own words for what a transaction refuses, and drops the transaction", False),
    Known("valkey-9.1", "SCAN", _error_starts(b"ERR unknown type name"), "refuses unknown types"),
    Known("valkey-9.1", "SCAN", _only_they_refuse, "refuses unknown types"),
    Known("valkey-9.1", "GEO.*", _errors, "names the member that is not there"),
    Known("valkey-9.1", "OBJECT", _sub(b"ENCODING", _either(b"embstr", b"raw")), "embeds strings of up to 128 bytes"),
    Known("redis-8.0", "GEO.*", lambda _words, ours, theirs: same_numbers(ours, theirs, 1e-12, 1e-16), "writes coordinates with as many digits as are needed"),
    # What changed after 7.2.
    *_rows(("redis-8.0", "valkey-9.1"), "Z(REV)?RANGE.*", lambda words, _ours, _theirs: _negative_offset(words),
           "a negative offset of LIMIT counts from the end since 7.4; before, it skips all", False),
    *_rows(("redis-8.0", "valkey-9.1"), "LREM", _error_is(b"ERR value is out of range, value must between"), "LREM refuses the smallest number since 7.4", False),
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
    *_rows(("redis-7.0", "redis-8.0"), "BITCOUNT", _errors, "reads the range before its unit; the node and Valkey after it"),
    Known("valkey-9.1", "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: (ours[1], theirs[1]) == (b"listpack", b"skiplist")),
          "makes a skiplist for the longest member before it looks at XX", after=lambda words: words[0].upper() == b"ZADD" and b"XX" in words),
    *_rows(("redis-7.0", "redis-8.0"), "OBJECT", _sub(b"REFCOUNT"), "shares small integers"),
    *_rows(_EVERY, "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: theirs[1] == b"raw" and ours[1] != b"raw"),
           "a SETBIT that changes no bit leaves the node's value as it is", after=_is(b"SETBIT")),
    *_rows(_EVERY, "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: (ours[1], theirs[1]) == (b"listpack", b"skiplist")),
           "SORT leaves the node's sorted set as it is", after=_is(b"SORT")),
    *_rows(_EVERY, "OBJECT", _sub(b"ENCODING", lambda _words, ours, theirs: (ours[1], theirs[1]) == (b"listpack", b"quicklist")),
           "the node looks at the size of a list between taking an element off and putting it back",
           after=lambda words: words[0].upper() in _MOVES and words[1] == words[2]),
    Known("valkey-9.1", _FIELD_TIMES, _only_we_refuse, "finds FIELDS in the place of the key", False),

    # Of numbers that have several shortest texts, and of some others, Redis's algorithm (Grisu 2) takes one that is not the nearest.
    *_rows(_EVERY, "Z.*|GEO.*|BZ.*|EXEC|EVAL.*", _numbers, "writes the last digit of one number in a thousand in another way"),
    # What no version means to do.
    *_rows(_EVERY, "SORT.*", lambda words, ours, theirs: b"\\x00" in (repr(ours) + repr(theirs)).encode(),
           "SORT ALPHA reads words up to the first zero byte only"),
    *_rows(("redis-8.0", "valkey-9.1"), "LSET|LINDEX|LRANGE|LTRIM", _has_word(_beyond_int), "an index in a listpack is cut to 32 bits", False),
]


def excuse(peer, words, ours, theirs, same, queued, earlier):
    """Why the peer may differ, or None.

    same: peers that answer as the node does; queued: commands of the transaction that EXEC ends, or None; earlier: commands
    of the round that came before.
    """
    verb = words[0].upper().decode("latin-1")
    verbs = [verb] + ([queue[0].upper().decode("latin-1") for queue in queued] if queued else [])
    for row in KNOWN:
        if row.peer == peer and (row.after is None or any(map(row.after, earlier))) and any(re.fullmatch(row.verbs, one) for one in verbs) and row.test(words, ours, theirs):
            return Excuse(row.reason, row.same_state)
    if len(same) >= 2:
        return Excuse(f"stands apart: {verb}", both_errors(ours, theirs) or verb in READERS or (verb == "SORT" and theirs[0] == "-"))
    return None


# Types of hashes whose fields have times to live: Valkey's and the node's, Redis 8's.
_HASHES_WITH_TIMES = {22, 24, 25}
_STREAM_OF_REDIS_7_0 = 19
_SORTED_SET = 5
_MINUS_ZERO = b"\x00\x00\x00\x00\x00\x00\x00\x80"


def excuse_state(source, target, payload, restored):
    """Whether what the target made of the source's DUMP may differ from its own value."""
    if payload is not None and payload[0] == _STREAM_OF_REDIS_7_0:
        # It lacks consumers that found nothing.
        return restored == b"+OK\r\n"
    if payload is not None and payload[0] == _SORTED_SET and (source == "redis-7.0" or _MINUS_ZERO in payload):
        # In a listpack -0 is 0. Redis 7.0 adds the first members to one, Valkey none when a longer one follows.
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
