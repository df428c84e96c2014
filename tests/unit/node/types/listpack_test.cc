#include "node/types/listpack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

using namespace std::string_literals;

std::vector<std::string> Forward(const ListpackView& pack) {
  std::vector<std::string> out;
  for (auto at = pack.First(); at != ListpackView::kNone; at = pack.Next(at)) out.push_back(pack.Get(at).ToString());
  return out;
}

std::vector<std::string> Backward(const ListpackView& pack) {
  std::vector<std::string> out;
  for (auto at = pack.Last(); at != ListpackView::kNone; at = pack.Previous(at)) out.push_back(pack.Get(at).ToString());
  return out;
}

TEST(Listpack, AnEmptyOneIsSevenBytes) {
  Listpack pack;
  EXPECT_EQ(pack.AsBytes(), "\x07\0\0\0\0\0\xff"s);
  EXPECT_TRUE(pack.empty());
  EXPECT_EQ(pack.First(), ListpackView::kNone);
  EXPECT_EQ(pack.Last(), ListpackView::kNone);
  EXPECT_EQ(pack.Seek(0), ListpackView::kNone);
  EXPECT_EQ(pack.Seek(-1), ListpackView::kNone);
}

// The expected bytes are what redis-server 7.0 answers to DUMP for a hash of these fields and values.
TEST(Listpack, HoldsEachKindOfValueInTheBytesThatRedisWrites) {
  Listpack pack;
  for (const char* text : {"f", "1", "g", "-1", "hh", "127", "i", "128", "j", "4095", "k", "4096", "l", "-4096", "m",
                           "-4097", "n", "32768", "o", "8388608", "p", "-2147483648", "q", "9223372036854775807", "r",
                           "hello", "s", "01", "t", "-0"}) {
    pack.Append(std::string_view(text));
  }
  EXPECT_EQ(pack.AsBytes(),
            "\x77\x00\x00\x00\x1e\x00\x81"
            "f\x02\x01\x01\x81g\x02\xdf\xff\x02\x82hh\x03\x7f\x01\x81i\x02\xc0\x80\x02\x81j\x02\xcf\xff\x02\x81k\x02"
            "\xf1\x00\x10\x03\x81l\x02\xd0\x00\x02\x81m\x02\xf1\xff\xef\x03\x81n\x02\xf2\x00\x80\x00\x04\x81o\x02"
            "\xf3\x00\x00\x80\x00\x05\x81p\x02\xf3\x00\x00\x00\x80\x05\x81q\x02\xf4\xff\xff\xff\xff\xff\xff\xff\x7f\x09"
            "\x81r\x02\x85hello\x06\x81s\x02\x82"
            "01\x03\x81t\x02\x82-0\x03\xff"s);
}

TEST(Listpack, LongTextsAndTheirBackLengthsGoToTheBoundsThatRedisHas) {
  for (const size_t n : {0, 1, 62, 63, 64, 125, 126, 127, 128, 4095, 4096, 16377, 16378, 16379, 16383, 2097145, 2097146,
                         2097150}) {
    Listpack pack;
    pack.Append("before");
    const std::string text(n, 'x');
    pack.Append(text);
    pack.Append("after");
    const size_t encoded = n + (n < 64 ? 1 : n < 4096 ? 2 : 5);
    const size_t back = encoded <= 127 ? 1 : encoded < 16383 ? 2 : encoded < 2097151 ? 3 : 4;
    EXPECT_EQ(pack.bytes(), 7 + 8 + encoded + back + 7) << n;
    EXPECT_EQ(Forward(pack), (std::vector<std::string>{"before", text, "after"})) << n;
    EXPECT_EQ(Backward(pack), (std::vector<std::string>{"after", text, "before"})) << n;
    EXPECT_TRUE(ListpackView::Validate(pack.AsBytes(), true)) << n;
  }
}

TEST(Listpack, CountsBeyondWhatTheHeaderHolds) {
  Listpack pack;
  for (int i = 0; i < 65600; ++i) pack.Append(int64_t{1});
  EXPECT_EQ(pack.Count(), 65600u);
  EXPECT_EQ(pack.AsBytes().substr(4, 2), "\xff\xff");
  EXPECT_EQ(pack.Seek(65599), pack.Last());
  EXPECT_EQ(pack.Seek(65600), ListpackView::kNone);
  EXPECT_EQ(pack.Seek(-65600), pack.First());
  EXPECT_EQ(pack.Seek(-65601), ListpackView::kNone);
  pack.EraseAt(0, 65590);
  EXPECT_EQ(pack.Count(), 10u);
  EXPECT_TRUE(ListpackView::Validate(pack.AsBytes(), true));
  Listpack other;
  other.Append("a");
  other.AppendAll(pack);
  EXPECT_EQ(other.Count(), 11u);
}

TEST(Listpack, FindLooksAtOneOfEveryStride) {
  Listpack pack;
  for (const char* text : {"a", "b", "b", "c", "7", "b", "c", "7"}) pack.Append(std::string_view(text));
  EXPECT_EQ(pack.Find(pack.First(), "b", 2), pack.Seek(2));
  EXPECT_EQ(pack.Find(pack.First(), "b"), pack.Seek(1));
  EXPECT_EQ(pack.Find(pack.First(), "7", 2), pack.Seek(4));
  EXPECT_EQ(pack.Find(pack.Seek(5), "7"), pack.Seek(7));
  EXPECT_EQ(pack.Find(pack.First(), "07"), ListpackView::kNone);
  EXPECT_EQ(pack.Find(pack.First(), ""), ListpackView::kNone);
  EXPECT_EQ(pack.Find(ListpackView::kNone, "a"), ListpackView::kNone);
}

TEST(Listpack, FindsAnIntegerThatAnotherProgramKeptAsText) {
  const std::string bytes = "\x0b\0\0\0\x01\0\x82" "12\x03\xff"s;
  ASSERT_TRUE(ListpackView::Validate(bytes, true));
  ListpackView pack(bytes.data());
  EXPECT_EQ(pack.Find(pack.First(), "12"), pack.First());
  EXPECT_TRUE(pack.Get(pack.First()).Is("12"));
}

TEST(Listpack, ReleaseAndAdoptHandTheBlockOn) {
  Listpack pack;
  pack.Append("x");
  void* block = pack.Release();
  Listpack again = Listpack::Adopt(block);
  EXPECT_EQ(Forward(again), std::vector<std::string>{"x"});
  EXPECT_GE(again.AllocatedBytes(), again.bytes());
  Listpack copy = Listpack::Copy(again.AsBytes());
  copy.Append("y");
  EXPECT_EQ(again.Count(), 1u);
  EXPECT_EQ(copy.Count(), 2u);
}

TEST(Listpack, GivesMemoryBackAfterErasures) {
  Listpack pack;
  for (int i = 0; i < 1000; ++i) pack.Append("some text");
  const size_t before = pack.AllocatedBytes();
  pack.EraseAt(10, 980);
  EXPECT_EQ(pack.Count(), 20u);
  EXPECT_LT(pack.AllocatedBytes(), before / 10);
}

TEST(Listpack, DoesWhatAListDoes) {
  TestRandom random(1);
  for (int round = 0; round < 20; ++round) {
    Listpack pack;
    std::deque<std::string> model;
    for (int step = 0; step < 5000; ++step) {
      const std::string text = random.Text(round % 4 == 0 ? 300 : 20);
      const size_t i = model.empty() ? 0 : random.Below(model.size());
      const auto at = pack.Seek(static_cast<int64_t>(i));
      const auto model_at = model.begin() + static_cast<std::ptrdiff_t>(i);
      const bool full = model.size() > 100;
      switch (random.Below(full ? 12 : 8)) {
        case 0:
          pack.Append(text);
          model.push_back(text);
          break;
        case 1:
          pack.Prepend(text);
          model.push_front(text);
          break;
        case 2:
          if (model.empty()) break;
          EXPECT_EQ(pack.Get(pack.InsertBefore(at, text)).ToString(), text);
          model.insert(model_at, text);
          break;
        case 3:
          if (model.empty()) break;
          EXPECT_EQ(pack.Get(pack.InsertAfter(at, text)).ToString(), text);
          model.insert(model_at + 1, text);
          break;
        case 4:
          if (model.empty()) break;
          EXPECT_EQ(pack.Get(pack.Replace(at, text)).ToString(), text);
          *model_at = text;
          break;
        case 5: {
          pack.AppendPair(text, "second");
          model.push_back(text);
          model.push_back("second");
          break;
        }
        case 6: {
          Listpack other;
          other.Append(text);
          other.Append(int64_t{-5});
          if (random.Below(2) == 0) {
            pack.AppendAll(other);
            model.insert(model.end(), {text, "-5"});
          } else {
            pack.PrependAll(other);
            model.insert(model.begin(), {text, "-5"});
          }
          break;
        }
        default: {
          if (model.empty()) break;
          const size_t n = random.Below(full ? 20 : 3);
          const auto next = pack.EraseRange(at, n);
          const size_t erased = std::min(n, model.size() - i);
          model.erase(model_at, model_at + static_cast<std::ptrdiff_t>(erased));
          EXPECT_EQ(next, pack.Seek(static_cast<int64_t>(i)));
          break;
        }
      }
      if (!model.empty()) {
        const size_t index = random.Below(model.size());
        ASSERT_TRUE(pack.Get(pack.Seek(static_cast<int64_t>(index))).Is(model[index]));
        ASSERT_EQ(pack.Seek(static_cast<int64_t>(index) - static_cast<int64_t>(model.size())),
                  pack.Seek(static_cast<int64_t>(index)));
        const auto found = pack.Find(pack.First(), model[index]);
        ASSERT_NE(found, ListpackView::kNone);
        ASSERT_EQ(pack.Get(found).ToString(), model[index]);
        ASSERT_EQ(pack.Get(found).TextSize(), model[index].size());
      }
      ASSERT_EQ(pack.Count(), model.size());
      if (step % 50 == 0) {
        ASSERT_EQ(Forward(pack), std::vector<std::string>(model.begin(), model.end()));
        ASSERT_EQ(Backward(pack), std::vector<std::string>(model.rbegin(), model.rend()));
        ASSERT_TRUE(ListpackView::Validate(pack.AsBytes(), true));
      }
    }
  }
}

// Bytes from outside: whatever passes can be walked, and nothing else is read. Exact-size heap copies let
// AddressSanitizer see a read beyond the end.
TEST(Listpack, ValidateTakesAnyBytesAndWhatItPassesCanBeWalked) {
  TestRandom random(2);
  size_t passed = 0;
  for (int round = 0; round < 100000; ++round) {
    Listpack pack;
    for (uint64_t i = random.Below(6); i > 0; --i) pack.Append(random.Text(random.Below(20) == 0 ? 5000 : 70));
    std::string bytes(pack.AsBytes());
    for (uint64_t i = random.Below(4); i > 0; --i) {
      switch (random.Below(4)) {
        case 0: bytes[random.Below(bytes.size())] = static_cast<char>(random()); break;
        case 1: bytes[random.Below(bytes.size())] ^= static_cast<char>(1 << random.Below(8)); break;
        case 2: bytes.resize(random.Below(bytes.size() + 4), '\xff'); break;
        default: bytes.insert(random.Below(bytes.size() + 1), 1, static_cast<char>(random())); break;
      }
      if (bytes.size() >= 4 && random.Below(4) != 0) {  // mutations that the header's size does not give away
        const auto total = static_cast<uint32_t>(bytes.size());
        std::memcpy(bytes.data(), &total, sizeof total);
      }
      if (bytes.empty()) break;
    }
    const std::vector<char> exact(bytes.begin(), bytes.end());
    if (!ListpackView::Validate({exact.data(), exact.size()}, true)) continue;
    ++passed;
    ListpackView view(exact.data());
    const auto forward = Forward(view);
    auto backward = Backward(view);
    std::reverse(backward.begin(), backward.end());
    ASSERT_EQ(forward, backward);
    ASSERT_EQ(forward.size(), view.Count());
  }
  EXPECT_GT(passed, 20000u);
  EXPECT_LT(passed, 90000u);
}

TEST(Listpack, ValidateRefusesWhatIsNoListpack) {
  const auto valid = [](const std::string& bytes) { return ListpackView::Validate(bytes, true); };
  EXPECT_TRUE(valid("\x07\0\0\0\0\0\xff"s));
  EXPECT_FALSE(valid(""));
  EXPECT_FALSE(valid("\x06\0\0\0\0\0"s));             // no end
  EXPECT_FALSE(valid("\x08\0\0\0\0\0\xff"s));         // another size
  EXPECT_FALSE(valid("\x07\0\0\0\x01\0\xff"s));       // another count
  EXPECT_TRUE(valid("\x07\0\0\0\xff\xff\xff"s));      // a count that is not known
  EXPECT_FALSE(valid("\x09\0\0\0\x01\0\x01\x02\xff"s));  // another back length
  EXPECT_TRUE(valid("\x09\0\0\0\x01\0\x01\x01\xff"s));
  EXPECT_FALSE(valid("\x09\0\0\0\x01\0\xf5\x01\xff"s));  // no such encoding
  EXPECT_FALSE(valid("\x08\0\0\0\0\0\xff\xff"s));        // an end before the end
  EXPECT_FALSE(valid("\x0e\0\0\0\x01\0\xf0\xff\xff\xff\xff\x00\x00\xff"s));  // a text beyond the end
  EXPECT_FALSE(valid("\x07\0\0\0\0\0\0"s));              // another last byte
  EXPECT_TRUE(ListpackView::Validate("\x07\0\0\0\x01\0\xff"s, false));  // not looked at
}

}  // namespace
}  // namespace understudy::types
