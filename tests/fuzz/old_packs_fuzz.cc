// The compact forms and the compression of files of older servers, which are read only.
#include <vector>

#include "node/persist/lzf.h"
#include "node/persist/old_packs.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const size_t expected = in.Number(2);
  const std::string_view rest = in.Rest();
  const std::vector<char> copy(rest.begin(), rest.end());  // ends where its allocation does
  const std::string_view bytes(copy.data(), copy.size());
  size_t values = 0;
  switch (how % 3) {
    case 0:
      persist::WalkZiplist(bytes, [&](const types::ListpackValue& value) {
        CHECK(value.ToString().size() <= std::max<size_t>(bytes.size(), 20));
        return ++values < 1000;
      });
      break;
    case 1:
      persist::WalkZipmap(bytes, [&](std::string_view field, std::string_view value) {
        CHECK(field.size() + value.size() <= bytes.size());
        return ++values < 1000;
      });
      break;
    default: {
      const Result<std::string> text = persist::LzfDecompress(bytes, expected);
      CHECK(!text.ok() || text->size() == expected);
    }
  }
  return 0;
}
