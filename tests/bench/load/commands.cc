#include "tests/bench/load/commands.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <numeric>

namespace understudy::load {
namespace {

constexpr size_t kKeyDigits = 12, kElementDigits = 8;
constexpr uint32_t kManyKeys = 10;        // of one MGET or MSET

// Four digits at a time.
const std::array<char, 40'000> kDigits = [] {
  std::array<char, 40'000> digits{};
  for (size_t i = 0; i < 10'000; ++i) {
    digits[i * 4] = static_cast<char>('0' + i / 1000);
    digits[i * 4 + 1] = static_cast<char>('0' + i / 100 % 10);
    digits[i * 4 + 2] = static_cast<char>('0' + i / 10 % 10);
    digits[i * 4 + 3] = static_cast<char>('0' + i % 10);
  }
  return digits;
}();

void WriteEight(char* out, uint32_t number) {
  std::memcpy(out, &kDigits[static_cast<size_t>(number / 10'000 % 10'000) * 4], 4);
  std::memcpy(out + 4, &kDigits[static_cast<size_t>(number % 10'000) * 4], 4);
}

void WriteKey(char* out, uint64_t number) {
  std::memcpy(out, &kDigits[number / 100'000'000 % 10'000 * 4], 4);
  WriteEight(out + 4, static_cast<uint32_t>(number % 100'000'000));
}

// A command of the mix, and the command that makes the values it finds.
struct Row {
  std::string_view name;
  CommandText (*text)(const Options&, const std::string& value);
  CommandText (*fill)(const Options&, const std::string& value);
  enum { kOther, kOk, kValue } reply;
};

using O = const Options&;
using V = const std::string&;

CommandText Set(O o, V value) { return CommandText::Begin(3).Word("SET").Key("key:", o).Word(value); }
CommandText SetEx(O o, V value) { return CommandText::Begin(4).Word("SETEX").Key("ttl:", o).Word(std::to_string(o.ttl_s)).Word(value); }
CommandText Incr(O o, V) { return CommandText::Begin(2).Word("INCR").Key("ctr:", o); }

CommandText FillHash(O o, V value) {
  CommandText text = CommandText::Begin(2 + 2 * o.elements).Word("HSET").Key("hsh:", o);
  for (uint32_t i = 0; i < o.elements; ++i) text.Element(i).Word(value);
  return text;
}
CommandText FillList(O o, V value) {
  CommandText text = CommandText::Begin(2 + o.elements).Word("RPUSH").Key("lst:", o);
  for (uint32_t i = 0; i < o.elements; ++i) text.Word(value);
  return text;
}
CommandText FillSet(O o, V) {
  CommandText text = CommandText::Begin(2 + o.elements).Word("SADD").Key("set:", o);
  for (uint32_t i = 0; i < o.elements; ++i) text.Element(i);
  return text;
}
CommandText FillSortedSet(O o, V) {
  CommandText text = CommandText::Begin(2 + 2 * o.elements).Word("ZADD").Key("zst:", o);
  for (uint32_t i = 0; i < o.elements; ++i) text.Score().Element(i);
  return text;
}

const Row kRows[] = {
    {"get", [](O o, V) { return CommandText::Begin(2).Word("GET").Key("key:", o); }, Set, Row::kValue},
    {"set", Set, Set, Row::kOk},
    {"setex", SetEx, SetEx, Row::kOk},
    {"expire", [](O o, V) { return CommandText::Begin(3).Word("EXPIRE").Key("key:", o).Word(std::to_string(o.ttl_s)); }, Set, Row::kOther},
    {"mget",
     [](O o, V) {
       CommandText text = CommandText::Begin(1 + kManyKeys).Word("MGET");
       for (uint32_t i = 0; i < kManyKeys; ++i) text.Key("key:", o);
       return text;
     },
     Set, Row::kOther},
    {"mset",
     [](O o, V value) {
       CommandText text = CommandText::Begin(1 + 2 * kManyKeys).Word("MSET");
       for (uint32_t i = 0; i < kManyKeys; ++i) text.Key("key:", o).Word(value);
       return text;
     },
     Set, Row::kOk},
    {"incr", Incr, Incr, Row::kOther},
    {"hset", [](O o, V value) { return CommandText::Begin(4).Word("HSET").Key("hsh:", o).Element().Word(value); }, FillHash, Row::kOther},
    {"hget", [](O o, V) { return CommandText::Begin(3).Word("HGET").Key("hsh:", o).Element(); }, FillHash, Row::kValue},
    {"lpush", [](O o, V value) { return CommandText::Begin(3).Word("LPUSH").Key("lst:", o).Word(value); }, FillList, Row::kOther},
    {"rpop", [](O o, V) { return CommandText::Begin(2).Word("RPOP").Key("lst:", o); }, FillList, Row::kValue},
    {"sadd", [](O o, V) { return CommandText::Begin(3).Word("SADD").Key("set:", o).Element(); }, FillSet, Row::kOther},
    {"zadd", [](O o, V) { return CommandText::Begin(4).Word("ZADD").Key("zst:", o).Score().Element(); }, FillSortedSet, Row::kOther},
    {"zrange", [](O o, V) { return CommandText::Begin(4).Word("ZRANGE").Key("zst:", o).Word("0").Word("9"); }, FillSortedSet, Row::kOther},
    {"eval",
     [](O o, V) { return CommandText::Begin(4).Word("EVAL").Word("return redis.call('GET', KEYS[1])").Word("1").Key("key:", o); },
     Set, Row::kValue},
    {"ping", [](O, V) { return CommandText::Begin(1).Word("PING"); }, nullptr, Row::kOther},
};

}  // namespace

CommandText CommandText::Begin(size_t words) {
  CommandText text;
  text.text_ = "*" + std::to_string(words) + "\r\n";
  return text;
}

void CommandText::AddWord(std::string_view word) {
  text_ += "$" + std::to_string(word.size()) + "\r\n";
  text_.append(word).append("\r\n");
}

CommandText& CommandText::Word(std::string_view word) {
  AddWord(word);
  return *this;
}

CommandText& CommandText::Key(std::string_view prefix, const Options& options) {
  std::string key(prefix);
  key.append(options.key_bytes - prefix.size(), '0');
  AddWord(key);
  places_.push_back({static_cast<uint32_t>(text_.size() - 2 - kKeyDigits), Slot::kKey});
  return *this;
}

CommandText& CommandText::Element() {
  Element(0);
  places_.push_back({static_cast<uint32_t>(text_.size() - 2 - kElementDigits), Slot::kElement});
  return *this;
}

CommandText& CommandText::Element(uint32_t fixed) {
  std::string member = "m:00000000";
  WriteEight(member.data() + 2, fixed);
  return Word(member);
}

CommandText& CommandText::Score() {
  AddWord("00000000");
  places_.push_back({static_cast<uint32_t>(text_.size() - 2 - kElementDigits), Slot::kScore});
  return *this;
}

template <typename NextKey>
void CommandText::WriteWith(char* out, NextKey next_key, Numbers& numbers, uint32_t elements) const {
  std::memcpy(out, text_.data(), text_.size());
  for (const Place& place : places_) {
    switch (place.slot) {
      case Slot::kKey: WriteKey(out + place.offset, next_key()); break;
      case Slot::kElement: WriteEight(out + place.offset, static_cast<uint32_t>(numbers.Below(elements))); break;
      case Slot::kScore: WriteEight(out + place.offset, static_cast<uint32_t>(numbers.Below(100'000'000))); break;
    }
  }
}

void CommandText::Write(char* out, KeyChoice& keys, uint32_t elements) const {
  WriteWith(out, [&keys] { return keys.Next(); }, keys.numbers(), elements);
}

void CommandText::WriteFor(char* out, uint64_t key, Numbers& numbers, uint32_t elements) const {
  WriteWith(out, [key] { return key; }, numbers, elements);
}

Result<Workload> Workload::Parse(const Options& options) {
  const std::string value(options.value_bytes, 'x');
  Workload workload;
  std::vector<uint32_t> weights;
  std::vector<CommandText (*)(const Options&, const std::string&)> fills;
  bool ok = false, values = false;
  for (std::string_view rest = options.command; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const std::string_view name = part.substr(0, part.find(':'));
    uint32_t weight = 1;
    if (name.size() != part.size()) {
      const std::string_view digits = part.substr(name.size() + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), weight);
      if (error != std::errc() || end != digits.data() + digits.size() || weight < 1 || weight > 100) {
        return Invalid("the weight in '" + std::string(part) + "' must be a number from 1 to 100");
      }
    }
    const Row* row = std::find_if(std::begin(kRows), std::end(kRows), [name](const Row& r) { return r.name == name; });
    if (row == std::end(kRows)) {
      return Invalid("there is no command '" + std::string(name) + "'; --command takes " + CommandNames());
    }
    workload.texts_.push_back(row->text(options, value));
    weights.push_back(weight);
    ok |= row->reply == Row::kOk;
    values |= row->reply == Row::kValue;
    if (row->fill != nullptr && std::find(fills.begin(), fills.end(), row->fill) == fills.end()) fills.push_back(row->fill);
  }
  if (weights.empty()) return Invalid("--command needs a name; there are " + CommandNames());
  if (weights.size() > 16) return Invalid("--command takes 16 names at most");
  uint32_t divisor = 0;
  for (const uint32_t weight : weights) divisor = std::gcd(divisor, weight);
  for (size_t i = 0; i < weights.size(); ++i) {
    workload.choices_.insert(workload.choices_.end(), weights[i] / divisor, static_cast<uint8_t>(i));
  }
  const std::string header = "$" + std::to_string(options.value_bytes) + "\r\n";
  if (values) workload.expected_.push_back({header, static_cast<uint32_t>(header.size() + options.value_bytes + 2)});
  if (ok) workload.expected_.push_back({"+OK\r\n", 5});
  for (const auto fill : fills) {
    workload.fills_.push_back(fill(options, value));
    workload.max_fill_bytes_ = std::max(workload.max_fill_bytes_, workload.fills_.back().bytes());
  }
  for (const CommandText& text : workload.texts_) workload.max_bytes_ = std::max(workload.max_bytes_, text.bytes());
  return workload;
}

std::string CommandNames() {
  std::string names;
  for (const Row& row : kRows) names += (names.empty() ? "" : " ") + std::string(row.name);
  return names;
}

}  // namespace understudy::load
