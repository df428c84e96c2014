"""What of a reply is compared: order and values that Redis itself leaves open are taken out. Values are those of wire.parse."""

_HIDDEN = ("+", b"(left open)")


def _sorted(value):
    kind, items = value
    return (kind, sorted(items, key=repr)) if isinstance(items, list) else value


def _pairs(value, first=0):
    kind, items = value
    if not isinstance(items, list) or (items and isinstance(items[0][1], list)):
        return _sorted(value)
    return kind, sorted(zip(items[first::2], items[first + 1::2]), key=repr)


def _members(_, value):
    return _sorted(value)


def _fields(_, value):
    return _pairs(value)


def _length(_, value):
    """Drawn at random: how many and how they are laid out, unless all were drawn."""
    kind, items = value
    if isinstance(items, list):
        return kind, len(items)
    return (kind, None) if items is None else (kind, items) if kind == "-" else (kind, "drawn")


def _drawn(words, value):
    """A positive count of random elements is more than there are: all come, in any order."""
    if len(words) > 2 and words[2] in (b"1000", b"9223372036854775807"):
        kind, items = value
        if len(words) == 3 or not items or isinstance(items[0][1], list):
            return _sorted(value)
        return _pairs(value)
    return _length(words, value)


def _scanned(words, value):
    kind, items = value
    if kind == "-" or not isinstance(items, list) or len(items) != 2:
        return value
    pairs = words[0].upper() in (b"ZSCAN", b"HSCAN") and b"NOVALUES" not in [word.upper() for word in words]
    return kind, [items[0], _pairs(items[1]) if pairs else _sorted(items[1])]


def _about(step):
    """A time to live: what was written some moments ago."""
    def shown(_, value):
        kind, content = value
        if kind == ":" and int(content) > 0:
            return kind, (int(content) + step // 2) // step
        if isinstance(content, list):
            return kind, [shown(None, item) for item in content]
        return value
    return shown


def _without(fields):
    """Maps (flat in RESP2) whose values of these fields are left open, at any depth."""
    def shown(words, value):
        kind, items = value
        if not isinstance(items, list):
            return value
        out, hide = [], False
        for item in items:
            out.append(_HIDDEN if hide else shown(words, item))
            hide = item[1] in fields if isinstance(item[1], bytes) else False
        return kind, out
    return shown


def _pending(words, value):
    """XPENDING with a range tells for how long an entry was not delivered."""
    kind, items = value
    if len(words) < 4 or not isinstance(items, list):
        return value
    return kind, [(row[0], [row[1][0], row[1][1], _HIDDEN, row[1][3]]) if isinstance(row[1], list) and len(row[1]) == 4 else row for row in items]


_STREAM_DETAILS = {b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes"}


def _stream_info(words, value):
    value = _without(_STREAM_DETAILS)(words, value)
    if b"FULL" in [word.upper() for word in words]:
        # When an entry was delivered: [id, consumer, time, count] of a group, [id, time, count] of a consumer.
        return _without_delivery_times(value)
    return value


def _without_delivery_times(value):
    kind, items = value
    if not isinstance(items, list):
        return value
    if len(items) in (3, 4) and items[0][0] == "$" and items[-1][0] == items[-2][0] == ":":
        return kind, [*items[:-2], _HIDDEN, items[-1]]
    return kind, [_without_delivery_times(item) for item in items]


def _sort(words, value):
    upper = [word.upper() for word in words]
    if b"BY" in upper:
        # Elements of the same weight come in any order; a LIMIT takes some of them.
        return _length(words, value) if b"LIMIT" in upper else _sorted(value)
    return value


def _script(_, value):
    return value


def _functions(_, value):
    kind, items = value
    return _sorted((kind, [_deep_sorted(item) for item in items])) if isinstance(items, list) else value


def _deep_sorted(value):
    kind, items = value
    if not isinstance(items, list):
        return value
    return kind, [_sorted((k, [_deep_sorted(i) for i in v])) if isinstance(v, list) else (k, v) for k, v in items]


def _one_drawn(_, value):
    return ("$", None) if value[1] is None else ("$", b"(drawn)")


def _help(_, value):
    """The words of help are not compared."""
    return (value[0], "help") if isinstance(value[1], list) else value


_SHOWN = {
    **dict.fromkeys(["SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "KEYS"], _members),
    "HGETALL": _fields,
    **dict.fromkeys(["HRANDFIELD", "SRANDMEMBER", "ZRANDMEMBER"], _drawn),
    "SPOP": _drawn,
    **dict.fromkeys(["SCAN", "SSCAN", "HSCAN", "ZSCAN"], _scanned),
    **dict.fromkeys(["TTL", "HTTL"], _about(5000)),
    **dict.fromkeys(["PTTL", "HPTTL", "EXPIRETIME", "PEXPIRETIME", "HEXPIRETIME", "HPEXPIRETIME"], _about(5_000_000)),
    **dict.fromkeys(["EXPIRETIME", "HEXPIRETIME"], _about(5000)),
    "XPENDING": _pending,
    "HELLO": lambda _, value: value if value[0] == "-" else (value[0], "about the server"),
    "SORT": _sort, "SORT_RO": _sort,
    "RANDOMKEY": _one_drawn,
    "TIME": _length,
    # Payloads tell the version; what they hold is compared at the end of a round.
    "DUMP": lambda _, value: value if value[1] is None else ("$", b"(payload)"),
}
_SHOWN_SUB = {
    ("OBJECT", "IDLETIME"): lambda _, value: value if value[0] != ":" else _HIDDEN,
    ("OBJECT", "HELP"): _help, ("SCRIPT", "HELP"): _help, ("FUNCTION", "HELP"): _help, ("PUBSUB", "HELP"): _help,
    ("XINFO", "STREAM"): _stream_info, ("XINFO", "CONSUMERS"): _stream_info, ("XINFO", "GROUPS"): _stream_info,
    ("PUBSUB", "CHANNELS"): _members, ("PUBSUB", "SHARDCHANNELS"): _members,
    ("FUNCTION", "LIST"): _functions,
}


def shown(words, value):
    """The reply to a command, with what is left open taken out."""
    verb = words[0].upper().decode("latin-1")
    show = _SHOWN.get(verb)
    if show is None and len(words) > 1:
        show = _SHOWN_SUB.get((verb, words[1].upper().decode("latin-1")))
    return value if show is None else show(words, value)


def shown_in_transaction(queued, value):
    """EXEC's reply: each command's as if it stood alone."""
    kind, items = value
    if not isinstance(items, list) or len(items) != len(queued):
        return value
    return kind, [shown(words, item) for words, item in zip(queued, items)]
