"""Commands from templates: what a family's table says, in words, becomes functions that draw.

A template is a line of words:
  SET 10 s1      a word stands for itself, but a name in small letters is drawn from the pool of that name (words.py),
                 which may give several words; _PLAIN are the few that are no pools
  [ ... ]        there or not
  ( a | b )      one of them
  < a | b >      some of them in any order
  { ... }        once or more
A line begins with its weight. `!` in front of the weight says that the command must stay as it is: changed at
random it would depend on the clock or on chance. All others are changed now and then: a word is left out, comes twice,
or gives way to something else.
"""
_PLAIN = set("a b c f g v x y z abc nan inf none nokey bar mylib other zzz nofunction ro".split())
OPTIONAL, OPTION, MORE = 0.35, 0.25, 0.45


def _sequence(parts):
    if len(parts) == 1:
        return parts[0]

    def draw(g, out):
        for part in parts:
            part(g, out)
    return draw


def _word(token, pools):
    if token in pools:
        return pools[token]
    if token not in _PLAIN and token.islower() and token.replace("_", "").isalpha():
        raise ValueError(f"there is no pool '{token}'")
    word = token.encode()

    def draw(_, out):
        out.append(word)
    return draw


def _optional(part):
    def draw(g, out):
        if g.random() < OPTIONAL:
            part(g, out)
    return draw


def _one_of(parts):
    def draw(g, out):
        parts[int(g.random() * len(parts))](g, out)
    return draw


def _some_of(parts):
    def draw(g, out):
        chosen = [part for part in parts if g.random() < OPTION]
        g.shuffle(chosen)
        for part in chosen:
            part(g, out)
    return draw


def _repeated(part):
    def draw(g, out):
        part(g, out)
        while g.random() < MORE:
            part(g, out)
    return draw


_CLOSING = {"[": "]", "(": ")", "<": ">", "{": "}"}


def _parse(tokens, pools, closing):
    """Alternatives up to the closing sign."""
    alternatives, parts = [], []
    while True:
        token = tokens.pop(0) if tokens else None
        if token == closing:
            return [*alternatives, _sequence(parts)]
        if token is None:
            raise ValueError(f"'{closing}' is missing")
        if token == "|":
            alternatives.append(_sequence(parts))
            parts = []
        elif token in _CLOSING:
            inner = _parse(tokens, pools, _CLOSING[token])
            make = {"[": _optional, "{": _repeated}.get(token)
            parts.append(make(_one_of(inner)) if make else (_one_of if token == "(" else _some_of)(inner))
        else:
            parts.append(_word(token, pools))


class Template:
    def __init__(self, line, pools):
        words = line.split()
        self.fixed = words[0] == "!"
        if self.fixed:
            words.pop(0)
        self.weight = float(words.pop(0))
        self.verb = words[0]
        try:
            self.draw = _sequence(_parse(words, pools, None))
        except (ValueError, IndexError) as error:
            raise ValueError(f"template '{line.strip()}': {error}") from error


def _parse_all(text, pools):
    return [Template(line, pools) for line in text.splitlines() if line.strip()]


class Table:
    """The templates of a family, drawn by weight."""

    def __init__(self, text, pools):
        self.templates = _parse_all(text, pools)
        self.cumulative = []
        total = 0
        for template in self.templates:
            total += template.weight
            self.cumulative.append(total)

    def draw(self, g):
        template = g.choices(self.templates, cum_weights=self.cumulative)[0]
        out = []
        template.draw(g, out)
        if not template.fixed and g.random() < 0.02:
            g.damage(out)
        return out
