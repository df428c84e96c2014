#include "node/persist/lzf.h"

#include <cstdint>

namespace understudy::persist {

Result<std::string> LzfDecompress(std::string_view compressed, size_t size) {
  const auto bad = [] { return Invalid("LZF data is damaged"); };
  std::string out;
  out.reserve(size);
  size_t at = 0;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(compressed[i]); };
  while (at < compressed.size()) {
    const uint32_t control = byte(at++);
    if (control < 32) {
      const size_t n = control + 1;
      if (compressed.size() - at < n || size - out.size() < n) return bad();
      out.append(compressed, at, n);
      at += n;
      continue;
    }
    size_t length = (control >> 5) + 2;
    if (control >> 5 == 7) {
      if (at == compressed.size()) return bad();
      length += byte(at++);
    }
    if (at == compressed.size()) return bad();
    const size_t distance = ((control & 31) << 8 | byte(at++)) + size_t{1};
    if (distance > out.size() || size - out.size() < length) return bad();
    // Byte by byte: the copy may overlap what it writes.
    for (size_t from = out.size() - distance; length > 0; --length) out.push_back(out[from++]);
  }
  if (out.size() != size) return bad();
  return out;
}

}  // namespace understudy::persist
