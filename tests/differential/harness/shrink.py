"""From a round with a difference to the shortest one that still has it."""
import dataclasses


def shrink(player, played, difference):
    """(round, Difference), or (None, None) when the same round does not show it again."""
    patience_s, player.patience_s = player.patience_s, 0.1
    try:
        return _shrink(_Best(player, difference.signature), played.with_commands(played.commands[:difference.index + 1]))
    finally:
        player.patience_s = patience_s


def _shrink(best, played):
    if not best.accepts(played):
        return None, None
    _drop_commands(best)
    _drop_words(best)
    for simpler in ({"protocol": 2}, {"small": False}):
        best.accepts(dataclasses.replace(best.round, **simpler))
    return best.round, best.difference


class _Best:
    """The shortest round so far that shows a difference of this signature."""

    def __init__(self, player, signature):
        self.player = player
        self.signature = signature
        self.round = self.difference = None

    def accepts(self, played):
        found = self.player.play(played)
        if found is None or found.signature != self.signature:
            return False
        self.round = played.with_commands(played.commands[:found.index + 1])
        self.difference = found
        return True


def _drop_commands(best):
    """Takes out half of the commands, then smaller and smaller pieces (delta debugging)."""
    size = max(1, len(best.round.commands) // 2)
    while True:
        start = 0
        while start < len(best.round.commands):
            commands = best.round.commands
            if not best.accepts(best.round.with_commands(commands[:start] + commands[start + size:])):
                start += size
        if size == 1:
            return
        size //= 2


def _drop_words(best):
    at = 0
    while at < len(best.round.commands):
        place = len(best.round.commands[at][1]) - 1
        while place > 0 and at < len(best.round.commands):
            channel, words = best.round.commands[at]
            fewer = (channel, words[:place] + words[place + 1:])
            best.accepts(best.round.with_commands([*best.round.commands[:at], fewer, *best.round.commands[at + 1:]]))
            place -= 1
        at += 1
