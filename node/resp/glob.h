// Redis's glob patterns, for KEYS, SCAN, CONFIG GET, COMMAND LIST: * ? [abc] [^a-z] \x. Pure.
#pragma once

#include <string_view>

namespace understudy::resp {

// Linear in the text for patterns with one "*", at worst text times pattern: a "*" only ever needs to be
// retried from the last one, so there is no exponential pattern. As in Redis only the empty pattern matches the empty
// text, not even "*" does: where that means all, MatchesAll is asked before.
bool GlobMatch(std::string_view pattern, std::string_view text, bool ignore_case = false);

// Exactly "*": everything matches.
inline bool MatchesAll(std::string_view pattern) { return pattern == "*"; }

}  // namespace understudy::resp
