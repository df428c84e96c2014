// Listpacks: bytes that are found valid can be read from both ends with the same result; then, and
// from an empty one, edits give what a list of texts gives.
#include <string>
#include <vector>

#include "node/types/listpack.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::types {
namespace {

using Texts = std::vector<std::string>;

Texts Forward(ListpackView pack) {
  Texts texts;
  pack.ForEach([&](const ListpackValue& value) {
    CHECK(value.TextSize() == value.ToString().size() && value.Is(value.ToString()));
    texts.push_back(value.ToString());
    return true;
  });
  return texts;
}

void CompareAll(const Listpack& pack, const Texts& texts) {
  // A copy that ends where the format does, not where the allocation does.
  const std::string bytes(pack.AsBytes());
  CHECK(ListpackView::Validate(bytes, true) && ListpackView::Validate(bytes, false));
  CHECK(Forward(pack) == texts);
  CHECK(pack.Count() == texts.size());
  Texts backward;
  for (auto at = pack.Last(); at != ListpackView::kNone; at = pack.Previous(at))
    backward.push_back(pack.Get(at).ToString());
  std::reverse(backward.begin(), backward.end());
  CHECK(backward == texts);
}

void Edit(Listpack& pack, Texts& texts, fuzz::Input& in) {
  const uint8_t what = in.Byte();
  const uint8_t length = in.Byte();
  const std::string value(length < 250 ? in.Bytes(length) : std::string_view());
  // Long ones of a few bytes of input.
  const std::string text =
      length < 250 ? value : std::string(in.Number(2) % 20'000, static_cast<char>(in.Byte()));
  const size_t index = texts.empty() ? 0 : in.Byte() % texts.size();
  const auto at = pack.Seek(static_cast<int64_t>(index));
  CHECK((at == ListpackView::kNone) == texts.empty());
  const auto where = texts.begin() + static_cast<ptrdiff_t>(index);
  switch (what % 8) {
    case 0:
      pack.Append(text);
      texts.push_back(text);
      break;
    case 1:
      pack.Prepend(text);
      texts.insert(texts.begin(), text);
      break;
    case 2:
      if (texts.empty()) break;
      pack.InsertBefore(at, text);
      texts.insert(where, text);
      break;
    case 3:
      if (texts.empty()) break;
      pack.InsertAfter(at, text);
      texts.insert(where + 1, text);
      break;
    case 4:
      if (texts.empty()) break;
      pack.Replace(at, text);
      *where = text;
      break;
    case 5: {
      const size_t count = std::min<size_t>(length, texts.size() - index);
      pack.EraseRange(at, length);
      texts.erase(where, where + static_cast<ptrdiff_t>(count));
      break;
    }
    case 6: {
      pack.AppendPair(text, value);
      texts.push_back(text);
      texts.push_back(value);
      break;
    }
    default: {
      const auto found = pack.Find(pack.First(), text);
      const auto expected = std::find(texts.begin(), texts.end(), text);
      CHECK((found == ListpackView::kNone) == (expected == texts.end()));
      CHECK(found == pack.Seek(expected - texts.begin()));
    }
  }
}

}  // namespace
}  // namespace understudy::types

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::types;
  if (size > 8192) return -1;
  fuzz::Input in(data, size);
  const std::string bytes(in.Bytes(in.Number(2)));
  if (!bytes.empty() && !ListpackView::Validate(bytes, true)) return 0;
  Listpack pack = bytes.empty() ? Listpack() : Listpack::Copy(bytes);
  Texts texts = Forward(pack);
  CompareAll(pack, texts);
  for (int i = 0; i < 200 && !in.empty(); ++i) {
    Edit(pack, texts, in);
    CompareAll(pack, texts);
  }
  Listpack twice = Listpack::Copy(pack.AsBytes());
  twice.AppendAll(pack);
  twice.PrependAll(pack);
  Texts thrice = texts;
  for (int i = 0; i < 2; ++i) thrice.insert(thrice.end(), texts.begin(), texts.end());
  CompareAll(twice, thrice);
  return 0;
}
