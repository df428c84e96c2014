"""The words that commands are made of: few, so that commands meet, and chosen where implementations differ."""
import random

# What a family's keys hold is left to chance, but most commands of a family go to keys of its own.
FAMILIES = {"string": [b"s1", b"s2", b"s3", b"s4"], "bit": [b"b1", b"b2", b"b3"], "hll": [b"p1", b"p2", b"p3"], "hash": [b"h1", b"h2", b"h3"],
            "list": [b"l1", b"l2", b"l3"], "set": [b"t1", b"t2", b"t3", b"t4"], "zset": [b"z1", b"z2", b"z3"],
            "stream": [b"x1", b"x2"]}
# In no pools but `lex` and `geo`, so that nothing else changes them.
LEX_KEYS = [b"y1", b"y2"]
GEO_KEYS = [b"g1", b"g2"]
ALL_KEYS = [key for keys in FAMILIES.values() for key in keys] + [b"none", b"", b"k\x00\xff"]
# A round begins with these, so that wrong types and other families' values are met from the start.
PROLOGUE = [b"SET s1 10", b"SET s2 hello", b"SETBIT b1 7 1", b"PFADD p1 a b c", b"HSET h1 f1 1 f2 two", b"RPUSH l1 a b c 1 2 3",
            b"SADD t1 1 2 3", b"SADD t2 a b 3", b"ZADD z1 1 a 2 b 3 c", b"GEOADD g1 13.361389 38.115556 a 15.087269 37.502669 b", b"XADD x1 1-1 f v",
            b"XADD x2 0-5 f v", b"XGROUP CREATE x1 gr1 0", b"XGROUP CREATE x1 gr2 $", b"XGROUP CREATE x2 gr1 0", b"XGROUP CREATE x2 gr2 0-3"]
_LIMITS = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"2147483647", b"-2147483648", b"4294967296",
           b"18446744073709551615", b"-9223372036854775809"]
_NO_NUMBERS = [b"", b"abc", b" 1", b"1 ", b"+1", b"01", b"1.0", b"0x10", b"1e3", b"-", b"-0", b"--1", b"1\x00"]
_SHORT = [b"a", b"b", b"c", b"d", b"e", b"f", b"1", b"2", b"3", b"10", b"-1", b"0", b"hello", b"foo", b"bar", b"A", b"aa", b"ab"]
_ODD = [b"", b"\x00", b"\xff\xfe", b"a\r\nb", b"v" * 44, b"w" * 45, b"x" * 64, b"y" * 65, b"z" * 300, b"1234567890123456789", b"12345678901234567890",
        b"-129", b"127", b"128", b"32767", b"32768", b"8388608", b"2147483648", b"3.14", b"-0", b"0.1", b"1e5", b"nan", b"inf", b"\xc3\xa9", b"a b",
        b"a\x00b", b"\"q\"", b"%d%s"]
_FLOATS = [b"0", b"1", b"2", b"3", b"1.5", b"-1", b"-2.5", b"0.1", b"10", b"3.0", b"100", b"1e2", b"-0", b"5e-1", b"3.14159", b"0.30000000000000004"]
_ODD_FLOATS = [b"inf", b"-inf", b"+inf", b"1e308", b"-1e308", b"1e-320", b"1e400", b"nan", b"abc", b"", b" 1", b"1 ", b"0x1p3", b"1e", b".5", b"5.", b"infinity",
               b"123456789012345678", b"9007199254740993", b"1.7976931348623157e308", b"1e17", b"1e21", b"12345.678901234567", b"-1.1e-7"]
JUNK = [b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR", b"GET", b"EX", b"PX", b"KEEPTTL", b"WITHSCORES", b"WITHVALUES", b"LIMIT", b"COUNT", b"REV", b"BYSCORE",
        b"BYLEX", b"MATCH", b"0", b"-1", b"1", b"2", b"", b"abc", b"1.5", b"9223372036854775807", b"-9223372036854775808", b"inf", b"*", b"FIELDS", b"ANY", b"ASC",
        b"DESC", b"STORE", b"=", b"~", b"BLOCK", b"KEYS", b"s1", b"l1", b"h1", b"z1", b"t1", b"x1", b"g1", b"none"]
# Beside these stands a time, which chance must not make so near that what is read depends on the clock.
_WITH_TIMES = {b"EX", b"PX", b"EXAT", b"PXAT", b"RESTORE", b"EXPIREAT", b"PEXPIREAT"}
_FIRST_TIME_S = 100_000


class Generator(random.Random):
    """Draws for one round."""

    def __init__(self, seed):
        super().__init__(seed)
        self.times = 0

    def damage(self, out):
        """Changes one word of a command at random; the command stays what it is."""
        if b"BLOCK" in out or (out[0][:1] == b"B" and out[0][:3] != b"BIT"):
            return
        how = self.random()
        if not _WITH_TIMES.isdisjoint(out) or b"EXPIRE" in out[0] or out[0][-2:] == b"EX":
            how *= 0.55
        if len(out) == 1 or how < 0.2:
            out.append(self.choice(JUNK))
        elif how < 0.4:
            del out[self.randrange(1, len(out))]
        elif how < 0.55:
            place = self.randrange(1, len(out))
            out.insert(place, out[place])
        elif how < 0.8:
            out[self.randrange(1, len(out))] = self.choice(JUNK)
        elif how < 0.9:
            place, other = self.randrange(1, len(out)), self.randrange(1, len(out))
            out[place], out[other] = out[other], out[place]
        else:
            out[0] = out[0].swapcase()
            place = self.randrange(len(out))
            out[place] = out[place].swapcase()

    def next_time(self):
        """Seconds, always more and far apart: what GT and LT compare never depends on when a command ran."""
        self.times += 1
        return _FIRST_TIME_S + 10_000 * self.times


POOLS = {}


def pool(draw):
    """Puts a pool of one word, drawn by draw(g), under its name."""
    def add(g, out):
        out.append(draw(g))
    POOLS[draw.__name__.rstrip("_")] = add
    return draw


def pool_of_words(draw):
    POOLS[draw.__name__.rstrip("_")] = draw
    return draw


def _key_of(family):
    keys = FAMILIES[family]
    count = len(keys)

    def draw(g, out):
        chance = g.random()
        out.append(keys[int(g.random() * count)] if chance < 0.95 else g.choice(ALL_KEYS))
    return draw


for _family in FAMILIES:
    POOLS[_family] = _key_of(_family)


@pool
def key(g):
    return g.choice(ALL_KEYS)


@pool
def value(g):
    chance = g.random()
    return g.choice(_SHORT) if chance < 0.75 else g.choice(_ODD) if chance < 0.97 else g.choice(_LIMITS)


@pool
def member(g):
    chance = g.random()
    return g.choice(_SHORT) if chance < 0.6 else b"m%d" % g.randrange(20) if chance < 0.9 else g.choice(_ODD)


@pool
def number(g):
    """What INCR takes as a value."""
    chance = g.random()
    return b"%d" % g.randrange(-20, 100) if chance < 0.9 else g.choice(_LIMITS) if chance < 0.96 else g.choice(_NO_NUMBERS)


@pool
def field(g):
    chance = g.random()
    return b"f%d" % g.randrange(1, 9) if chance < 0.85 else g.choice(_SHORT) if chance < 0.95 else g.choice(_ODD)


@pool
def index(g):
    chance = g.random()
    return b"%d" % g.randrange(-8, 9) if chance < 0.95 else g.choice(_LIMITS) if chance < 0.98 else g.choice(_NO_NUMBERS)


@pool
def count(g):
    chance = g.random()
    return b"%d" % g.randrange(1, 5) if chance < 0.85 else b"0" if chance < 0.9 else b"-1" if chance < 0.92 else b"1000" if chance < 0.97 else \
        g.choice(_LIMITS) if chance < 0.985 else g.choice(_NO_NUMBERS)


@pool
def randomcount(g):
    """How many to draw: all, as what is drawn of a larger number is left to the server."""
    return g.choice([b"1000", b"1000", b"0", b"9223372036854775807", b"-3", b"-1", b"abc", b"-9223372036854775808"])


@pool
def offset(g):
    """Where in a string; what lies far away would make strings of half a gigabyte."""
    chance = g.random()
    return b"%d" % g.randrange(0, 20) if chance < 0.9 else b"%d" % g.randrange(0, 700) if chance < 0.95 else g.choice(
        [b"-1", b"4294967296", b"536870912", b"abc", b"", b"9223372036854775807", b"-9223372036854775808"])


@pool
def bitoffset(g):
    chance = g.random()
    return b"%d" % g.randrange(0, 80) if chance < 0.85 else b"%d" % g.randrange(0, 3000) if chance < 0.95 else g.choice(
        [b"-1", b"4294967296", b"9999999999", b"abc", b"", b"9223372036854775807", b"18446744073709551615"])


@pool
def bit(g):
    return g.choice([b"0", b"1", b"1", b"0", b"1", b"0", b"1", b"0", b"0", b"1", b"0", b"1", b"0", b"0", b"2", b"-1", b"abc"])


@pool
def integertype(g):
    return g.choice([b"u1", b"u4", b"u8", b"u16", b"u32", b"u63", b"i8", b"i5", b"i16", b"i32", b"i64", b"i1", b"u8", b"i8", b"u4", b"u2"]) \
        if g.random() < 0.97 else g.choice([b"u64", b"i65", b"u0", b"x8", b"", b"u", b"8", b"U8"])


@pool
def typedoffset(g):
    return (b"#%d" if g.random() < 0.3 else b"%d") % g.randrange(0, 40) if g.random() < 0.96 else g.choice([b"#", b"-1", b"#-1", b"abc", b"4294967296", b"#9223372036854775807"])


@pool
def float_(g):
    chance = g.random()
    return g.choice(_FLOATS) if chance < 0.9 else g.choice(_ODD_FLOATS)


@pool
def score(g):
    chance = g.random()
    return b"%d" % g.randrange(-3, 12) if chance < 0.6 else g.choice(_FLOATS) if chance < 0.9 else g.choice(_ODD_FLOATS)


@pool
def scorelimit(g):
    chance = g.random()
    limit = b"%d" % g.randrange(-3, 12) if chance < 0.5 else g.choice([b"-inf", b"+inf"]) if chance < 0.85 else g.choice(_FLOATS) if chance < 0.97 else g.choice(_ODD_FLOATS)
    return b"(" + limit if g.random() < 0.25 else limit


@pool
def lex(g):
    """A sorted set whose scores are all the same: with others a range by members is what chance makes of it."""
    return g.choice(LEX_KEYS) if g.random() < 0.97 else g.choice([b"s1", b"nokey"])


@pool
def geo(g):
    """Places: what a score that is none means as a place, above all an infinite one, nobody has decided."""
    return g.choice(GEO_KEYS) if g.random() < 0.97 else g.choice([b"s1", b"nokey2"])


@pool
def lexlimit(g):
    chance = g.random()
    return g.choice([b"-", b"+"]) if chance < 0.4 else g.choice([b"[", b"("]) + g.choice(_SHORT) if chance < 0.95 else g.choice([b"a", b"", b"[", b"(", b"-a", b"\x00", b"[\xff"])


@pool
def weight(g):
    return g.choice(_FLOATS) if g.random() < 0.95 else g.choice(_ODD_FLOATS)


@pool
def seconds(g):
    return b"%d" % g.next_time() if g.random() < 0.93 else g.choice(
        [b"0", b"-1", b"-9223372036854775808", b"9223372036854775807", b"9223372036854775", b"abc", b"", b"1.5", b"-100"])


@pool
def milliseconds(g):
    return b"%d" % (g.next_time() * 1000) if g.random() < 0.93 else g.choice(
        [b"0", b"-1", b"-9223372036854775808", b"9223372036854775807", b"9223372036854775000", b"abc", b"", b"-100"])


@pool
def later(g):
    """Seconds that no command refuses."""
    return b"%d" % g.next_time()


@pool
def latermilliseconds(g):
    return b"%d" % (g.next_time() * 1000)


_YEAR_2100 = 4_102_444_800


@pool
def unixtime(g):
    return b"%d" % (_YEAR_2100 + g.randrange(100)) if g.random() < 0.85 else g.choice([b"1", b"1000000000", b"0", b"-1", b"9223372036854775807", b"9223372036854775", b"abc"])


@pool
def unixmilliseconds(g):
    return b"%d" % (_YEAR_2100 * 1000 + g.randrange(100_000)) if g.random() < 0.85 else g.choice(
        [b"1", b"1000000000000", b"0", b"-1", b"9223372036854775807", b"-9223372036854775808", b"abc"])


@pool
def farunixtime(g):
    return b"%d" % (_YEAR_2100 + g.randrange(100))


@pool
def farunixmilliseconds(g):
    return b"%d" % (_YEAR_2100 * 1000 + g.randrange(100_000))


@pool
def pattern(g):
    return g.choice([b"*", b"*", b"?1", b"[a-h]1", b"*1", b"[^s]*", b"s\\1", b"", b"h?", b"[", b"**", b"f[1-3]", b"m*", b"?", b"\\", b"[a-", b"*\x00*", b"t[2-1]"])


@pool
def longitude(g):
    return b"%.6f" % g.uniform(-180, 180) if g.random() < 0.3 else g.choice([b"13.361389", b"15.087269", b"0", b"-180", b"180", b"13.5", b"14", b"-0.1", b"12.758489"]) \
        if g.random() < 0.97 else g.choice([b"181", b"nan", b"abc", b"-181", b"inf"])


@pool
def latitude(g):
    return b"%.6f" % g.uniform(-85, 85) if g.random() < 0.3 else g.choice([b"38.115556", b"37.502669", b"0", b"85.05112878", b"-85.05112878", b"38", b"37", b"51.5"]) \
        if g.random() < 0.97 else g.choice([b"86", b"nan", b"abc", b"-86"])


@pool
def radius(g):
    return g.choice([b"200", b"100", b"1000", b"0", b"5000", b"20000", b"0.5", b"1e7", b"100000"]) if g.random() < 0.97 else g.choice([b"-1", b"abc", b"nan", b""])


@pool
def unit(g):
    return g.choice([b"m", b"km", b"km", b"km", b"ft", b"mi", b"KM"]) if g.random() < 0.97 else g.choice([b"miles", b"", b"k"])


@pool
def streamid(g):
    chance = g.random()
    return b"%d-%d" % (g.randrange(1, 12), g.randrange(0, 6)) if chance < 0.7 else b"%d" % g.randrange(0, 12) if chance < 0.92 else g.choice(
        [b"0-0", b"18446744073709551615-18446744073709551615", b"18446744073709551615", b"0-1", b"18446744073709551616", b"abc", b"1-", b"-1", b"1-1-1", b"", b"-1-1", b"1-x"])


@pool
def newstreamid(g):
    """Mostly more than the last: the id grows while a round goes on."""
    g.times += 1
    chance = g.random()
    first = 1 + g.times // 12
    return b"%d-%d" % (first, g.times % 12 + 1) if chance < 0.85 else b"%d-*" % (first + 1) if chance < 0.97 else g.choice(
        [b"0-0", b"1-1", b"0-*", b"18446744073709551615-18446744073709551615", b"18446744073709551615-*", b"abc", b"5", b"", b"1-*", b"*-1"])


@pool
def streamstart(g):
    chance = g.random()
    return b"-" if chance < 0.4 else b"%d-%d" % (g.randrange(1, 12), g.randrange(0, 6)) if chance < 0.8 else b"(%d-%d" % (
        g.randrange(1, 12), g.randrange(0, 6)) if chance < 0.9 else g.choice([b"0", b"5", b"(5", b"abc", b"(", b"+", b"(18446744073709551615-18446744073709551615", b"(-"])


@pool
def streamend(g):
    chance = g.random()
    return b"+" if chance < 0.4 else b"%d-%d" % (g.randrange(1, 12), g.randrange(0, 6)) if chance < 0.8 else b"(%d-%d" % (
        g.randrange(1, 12), g.randrange(0, 6)) if chance < 0.9 else g.choice([b"5", b"(5", b"abc", b"-", b"(0-0", b"(0", b"(+"])


@pool
def group(g):
    return b"gr%d" % g.randrange(1, 3) if g.random() < 0.96 else g.choice([b"nogroup", b"", b"\xff"])


@pool
def consumer(g):
    return b"c%d" % g.randrange(1, 4) if g.random() < 0.96 else g.choice([b"noone", b"", b"\x00"])


@pool
def channel(g):
    return g.choice([b"ch1", b"ch2", b"ch3", b"chat", b"", b"\x00"])


@pool
def channelpattern(g):
    return g.choice([b"ch*", b"*", b"ch?", b"ch[12]", b"chat", b"", b"[^c]*"])


@pool
def message(g):
    return g.choice(_SHORT) if g.random() < 0.9 else g.choice(_ODD)


@pool
def database(g):
    return g.choice([b"0", b"1", b"0", b"1", b"9"]) if g.random() < 0.9 else g.choice([b"16", b"-1", b"abc", b"99999999999999999999", b""])


def _counted(name, pool_name):
    def draw(g, out):
        number_of = g.randrange(1, 4)
        chance = g.random()
        out.append(b"%d" % number_of if chance < 0.94 else g.choice([b"0", b"-1", b"abc", b"%d" % (number_of + 1), b"9223372036854775807", b"1"]))
        for _ in range(number_of):
            POOLS[pool_name](g, out)
    POOLS[name] = draw


for _name in ("set", "zset", "list", "hll"):
    _counted(f"numbered_{_name}s", _name)
_counted("numbered_fields", "field")


@pool_of_words
def numbered_pairs(g, out):
    number_of = g.randrange(1, 4)
    out.append(b"%d" % number_of if g.random() < 0.95 else g.choice([b"0", b"-1", b"abc", b"%d" % (number_of + 1)]))
    for _ in range(number_of):
        POOLS["field"](g, out)
        POOLS["value"](g, out)


@pool_of_words
def numbered_strings(g, out):
    number_of = g.randrange(1, 4)
    out.append(b"%d" % number_of if g.random() < 0.95 else g.choice([b"0", b"-1", b"abc", b"%d" % (number_of + 1)]))
    for _ in range(number_of):
        POOLS["string"](g, out)
        POOLS["value"](g, out)
