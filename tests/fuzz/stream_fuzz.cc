// Streams as RDB files hold them, without the spelling of numbers: nodes, groups, what is pending.
// What is taken must be sound, be written and read back as it was, and bear every change.
#include <vector>

#include "tests/fuzz/content.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::types {
namespace {

// False: the input is no stream, or breaks off.
bool Give(StreamBuilder& builder, fuzz::Input& in) {
  while (builder.next() != StreamBuilder::Piece::kDone) {
    if (in.empty()) return false;
    Status given;
    if (builder.next() == StreamBuilder::Piece::kLength) {
      const uint8_t small = in.Byte();
      given = builder.Give(small < 0xf8 ? uint64_t{small} : in.Number(small - 0xf7u));
    } else {
      const size_t bytes =
          builder.next() == StreamBuilder::Piece::kText ? in.Number(2) : builder.bytes();
      const std::string text(in.Bytes(bytes));
      if (text.size() != bytes) return false;
      given = builder.Give(text);
    }
    if (!given.ok()) return false;
  }
  return true;
}

// Gives the pieces of one stream to the builder of another.
class Copy final : public StreamSink {
 public:
  void Length(uint64_t n) override { CHECK(builder.Give(n).ok()); }
  void Text(std::string_view bytes) override { CHECK(builder.Give(bytes).ok()); }
  void Bytes(std::string_view bytes) override { CHECK(builder.Give(bytes).ok()); }
  StreamBuilder builder{StreamForm::kV3};
};

std::vector<std::string> Entries(const StreamLog& log, bool reverse) {
  std::vector<std::string> entries;
  log.Walk(kMinStreamId, kMaxStreamId, reverse, [&](const StreamEntry& entry) {
    std::string text = entry.id().ToString();
    entry.ForEachField([&](const ListpackValue& field, const ListpackValue& value) {
      text += " " + fuzz::Framed(field.ToString()) + "=" + fuzz::Framed(value.ToString());
    });
    entries.push_back(std::move(text));
    return true;
  });
  return entries;
}

void UseGroups(Stream& stream) {
  std::vector<std::string> names;
  stream.ForEachGroup([&](const StreamGroup& group) { names.push_back(group.name()); });
  constexpr int64_t kNow = 1'700'000'000'000;
  for (const std::string& name : names) {
    StreamGroup* group = stream.FindGroup(name);
    group->Lag(stream.log());
    StreamConsumer* consumer = group->FindConsumer("fuzz");
    if (consumer == nullptr) consumer = group->CreateConsumer("fuzz", kNow);
    group->Redeliver(stream.log(), consumer, kMinStreamId, 10, kNow,
                     [](StreamId, const StreamEntry*) {});
    group->AutoClaim(stream.log(), consumer, kMinStreamId, 3, 0, false, kNow,
                     [](StreamId, const StreamEntry*, const StreamPending&) {});
    group->Deliver(stream.log(), consumer, 2, false, kNow, [](const StreamEntry&) {});
    group->Ack(group->first_pending());
    stream.Validate();
    group->DeleteConsumer(consumer);
  }
}

void Edit(Stream& stream) {
  StreamLog& log = stream.log();
  const std::string_view words[] = {"field", "value"};
  const Result<StreamId> next = log.NextId({.auto_ms = true, .auto_seq = true}, 1);
  if (next.ok()) CHECK(log.Append(*next, words, fuzz::SmallLimits()).ok());
  stream.Validate();
  if (const auto first = log.First()) CHECK(log.Erase(first->id()));
  stream.Validate();
  log.Trim(
      {.kind = StreamTrim::Kind::kMaxLength, .max_length = 1, .approximate = false, .limit = 0});
  CHECK(log.size() <= 1);
  stream.Validate();
}

}  // namespace
}  // namespace understudy::types

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::types;
  fuzz::Input in(data, size);
  constexpr StreamForm kForms[] = {StreamForm::kV1, StreamForm::kV2, StreamForm::kV3};
  StreamBuilder builder(kForms[in.Byte() % 3]);
  if (!Give(builder, in)) return 0;
  Stream stream = builder.Take();
  stream.Validate();
  Copy copy;
  WriteStream(stream, StreamForm::kV3, copy);
  CHECK(copy.builder.next() == StreamBuilder::Piece::kDone);
  const std::string form = fuzz::FormOf(stream);
  CHECK(fuzz::FormOf(copy.builder.Take()) == form);
  CHECK(fuzz::FormOf(stream.Clone()) == form);

  const std::vector<std::string> entries = Entries(stream.log(), false);
  CHECK(entries.size() == stream.log().size());
  std::vector<std::string> backward = Entries(stream.log(), true);
  std::reverse(backward.begin(), backward.end());
  CHECK(entries == backward);
  UseGroups(stream);
  Edit(stream);
  return 0;
}
