#!/usr/bin/env python3
"""How the harness draws, reads, compares and shrinks. Needs no build, no root and no server."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
import groups  # noqa: E402
import known  # noqa: E402
import normal  # noqa: E402
import player  # noqa: E402
import shrink  # noqa: E402
import wire  # noqa: E402
from template import Table, Template  # noqa: E402
from words import POOLS, Generator  # noqa: E402

PEERS = ["redis-7.0", "redis-8.0", "valkey-9.1"]


def value(raw):
    return wire.parse(raw)[0]


class WireTest(unittest.TestCase):
    def test_replies_are_split_where_they_end_and_not_before(self):
        for raw in (b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$3\r\na\r\n\r\n", b"*2\r\n$1\r\na\r\n*1\r\n:5\r\n", b"*-1\r\n", b"_\r\n",
                    b"%1\r\n$1\r\nk\r\n,1.5\r\n", b"*0\r\n", b">2\r\n+x\r\n~1\r\n#t\r\n"):
            self.assertEqual(wire.end_of_reply(raw + b"+NEXT\r\n", 0), len(raw), raw)
            for part in range(1, len(raw)):
                self.assertEqual(wire.end_of_reply(raw[:part], 0), -1, raw[:part])

    def test_what_is_no_resp_is_an_error(self):
        with self.assertRaises(KeyError):
            wire.end_of_reply(b"?1\r\n", 0)

    def test_words_are_shown_as_redis_cli_takes_them(self):
        self.assertEqual(wire.line([b"SET", b"a b", b"\x00\"", b""]), 'SET "a b" "\\x00\\x22" ""')


class TemplateTest(unittest.TestCase):
    def test_a_round_is_the_same_for_the_same_seed_and_another_for_another(self):
        groups.set_payloads([b"x" * 20], b"y")
        for name in groups.GROUPS:
            first, again, other = (groups.draw_round(name, seed, 3, PEERS) for seed in (1, 1, 2))
            self.assertEqual(first, again, name)
            self.assertNotEqual(first.commands, other.commands, name)

    def test_every_template_can_be_drawn(self):
        groups.set_payloads([b"x" * 20], b"y")
        g = Generator(1)
        for name, group in groups.GROUPS.items():
            for table in group.tables:
                for text in table.values():
                    for template in Table(text, POOLS).templates:
                        out = []
                        template.draw(g, out)
                        self.assertTrue(out and all(isinstance(word, bytes) for word in out), (name, template.verb))

    def test_a_name_that_is_no_pool_is_refused(self):
        for line in ("1 SET strnig value", "1 SET [ x", "x SET"):
            with self.assertRaises(ValueError, msg=line):
                Template(line, POOLS)

    def test_a_level_that_no_peer_has_is_not_drawn(self):
        groups.set_payloads([b"x" * 20], b"y")
        verbs = {words[0].upper() for number in range(20) for _, words in groups.draw_round("hashes", 1, number, ["redis-7.0"]).commands}
        self.assertIn(b"HSET", verbs)
        self.assertNotIn(b"HEXPIRE", verbs)

    def test_commands_that_wait_come_only_in_transactions_where_connections_do_not_go_in_lock_step(self):
        wait = (0, [b"BLPOP", b"l1", b"0"])
        multi, execute = (0, [b"MULTI"]), (0, [b"EXEC", b"x"])
        played = player.Round([wait, multi, wait, execute, wait], channels=2)
        self.assertEqual(played.commands, [multi, wait, execute])
        self.assertEqual(player.Round([wait], channels=2, lock_step=True).commands, [wait])


class NormalTest(unittest.TestCase):
    def same(self, words, one, other):
        return normal.shown(words, value(one)) == normal.shown(words, value(other))

    def test_order_counts_only_where_redis_has_one(self):
        one, other = b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2\r\n$1\r\nb\r\n$1\r\na\r\n"
        self.assertTrue(self.same([b"SMEMBERS", b"k"], one, other))
        self.assertFalse(self.same([b"LRANGE", b"k", b"0", b"-1"], one, other))

    def test_a_field_keeps_its_value(self):
        one, swapped = b"*4\r\n+a\r\n+1\r\n+b\r\n+2\r\n", b"*4\r\n+a\r\n+2\r\n+b\r\n+1\r\n"
        self.assertTrue(self.same([b"HGETALL", b"k"], one, b"*4\r\n+b\r\n+2\r\n+a\r\n+1\r\n"))
        self.assertFalse(self.same([b"HGETALL", b"k"], one, swapped))

    def test_a_time_to_live_may_be_some_moments_less(self):
        self.assertTrue(self.same([b"TTL", b"k"], b":110000\r\n", b":109999\r\n"))
        self.assertFalse(self.same([b"TTL", b"k"], b":110000\r\n", b":120000\r\n"))
        self.assertFalse(self.same([b"TTL", b"k"], b":-1\r\n", b":-2\r\n"))

    def test_a_transaction_is_compared_command_by_command(self):
        queued = [[b"SMEMBERS", b"k"], [b"LRANGE", b"l", b"0", b"-1"]]
        one, other = b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n"
        both = [normal.shown_in_transaction(queued, value(b"*2\r\n" + members + one)) for members in (one, other)]
        self.assertEqual(*both)
        self.assertNotEqual(both[0], normal.shown_in_transaction(queued, value(b"*2\r\n" + one + other)))


class KnownTest(unittest.TestCase):
    def test_who_stands_apart_from_two_that_agree_with_the_node_is_excused(self):
        words, ours, theirs = [b"SET", b"k", b"v"], ("+", b"OK"), ("-", b"ERR no")
        self.assertIsNotNone(known.excuse("valkey-9.1", words, ours, theirs, ["redis-7.0", "redis-8.0"], None, []))
        self.assertIsNone(known.excuse("valkey-9.1", words, ours, theirs, ["redis-7.0"], None, []))

    def test_a_write_that_another_refuses_leaves_another_state(self):
        agreeing = ["redis-7.0", "redis-8.0"]
        self.assertFalse(known.excuse("valkey-9.1", [b"SET", b"k"], ("+", b"OK"), ("-", b"ERR no"), agreeing, None, []).same_state)
        self.assertTrue(known.excuse("valkey-9.1", [b"GET", b"k"], ("$", b"1"), ("$", b"2"), agreeing, None, []).same_state)

    def test_numbers_are_equal_however_they_are_written(self):
        self.assertTrue(known.same_numbers(("*", [("$", b"0.1")]), ("*", [("$", b"0.10000000000000001")])))
        self.assertFalse(known.same_numbers(("*", [("$", b"0.1")]), ("*", [("$", b"0.11")])))
        self.assertFalse(known.same_numbers(("$", b"a"), ("$", b"b")))


class Faulty:
    """Stands for a Player whose servers differ at `GET b` when `SET b 1` came before it."""

    patience_s = 1

    def play(self, played):
        for index, (channel, words) in enumerate(played.commands):
            if words == [b"GET", b"b"] and (0, [b"SET", b"b", b"1"]) in played.commands[:index]:
                return player.Difference(index, channel, words, {"understudy": b"$1\r\n1\r\n", "redis-7.0": b"$1\r\n2\r\n"})
        return None


class ShrinkTest(unittest.TestCase):
    def test_only_commands_and_words_that_matter_are_left(self):
        commands = [(0, [b"SET", b"k%d" % number, b"1"]) for number in range(37)]
        commands[5] = (0, [b"SET", b"b", b"1"])
        commands[30] = (0, [b"GET", b"b"])
        played = player.Round(commands, protocol=3, small=True)
        shrunk, difference = shrink.shrink(Faulty(), played, Faulty().play(played))
        self.assertEqual(shrunk.commands, [(0, [b"SET", b"b", b"1"]), (0, [b"GET", b"b"])])
        self.assertEqual((difference.index, shrunk.protocol, shrunk.small), (1, 2, False))

    def test_what_does_not_show_again_is_said(self):
        played = player.Round([(0, [b"PING"])])
        self.assertEqual(shrink.shrink(Faulty(), played, player.Difference(0, 0, [b"PING"], {})), (None, None))


if __name__ == "__main__":
    unittest.main()
