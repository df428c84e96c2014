// Reads the compact forms of Redis before 7: ziplists and zipmaps. (We write none.)
//
//   ziplist = total bytes: 4 LE | offset of the last entry: 4 LE | entries: 2 LE, 65535 = count them | entry* | 0xff
//   entry   = bytes of the entry before it: 1, or 254 and 4 LE | encoding, payload
//     00xxxxxx                string, up to 63 bytes    c0 d0 e0     16, 32, 64 bits LE
//     01xxxxxx x8             string, 14 bits of length f0 fe        24, 8 bits
//     80 + 4 bytes big-endian string                    f1 to fd     0 to 12
//   zipmap  = pairs, 254 = count them: 1 | (length field, length free: 1 value unused bytes)* | 0xff
//   length  = 1 byte, or 254 and 4 LE
//
// Whatever the bytes are: never reads outside of them. Pure.
#pragma once

#include <string_view>

#include "common/function_ref.h"
#include "node/types/listpack.h"

namespace understudy::persist {

// Calls fn for the values in order until it returns false. False: then, or if `bytes` are no ziplist; some values may
// have been given before that is found.
bool WalkZiplist(std::string_view bytes, FunctionRef<bool(const types::ListpackValue&)> fn);
// The same with field and value of each pair.
bool WalkZipmap(std::string_view bytes, FunctionRef<bool(std::string_view, std::string_view)> fn);

}  // namespace understudy::persist
