#include <sstream>
#include <vector>

#include "tests/support/fake_object_store.h"

namespace understudy::test {
namespace {

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// Cuts at commas outside parentheses.
std::vector<std::string> Terms(const std::string& selector) {
  std::vector<std::string> out;
  std::string term;
  int depth = 0;
  for (const char c : selector) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      out.push_back(Trim(term));
      term.clear();
    } else {
      term += c;
    }
  }
  if (!Trim(term).empty()) out.push_back(Trim(term));
  return out;
}

bool InSet(const std::string& set, const std::string& value) {
  std::stringstream in(set.substr(set.find('(') + 1, set.find(')') - set.find('(') - 1));
  for (std::string item; std::getline(in, item, ',');) {
    if (Trim(item) == value) return true;
  }
  return false;
}

bool MatchesTerm(const std::string& term,
                 const std::function<const Json*(const std::string&)>& find) {
  const auto text = [&](const std::string& key) {
    const Json* value = find(Trim(key));
    if (value == nullptr) return std::string();
    return value->is_string() ? value->get<std::string>() : value->dump();
  };
  if (const size_t at = term.find("!="); at != std::string::npos) {
    return text(term.substr(0, at)) != Trim(term.substr(at + 2));
  }
  if (const size_t at = term.find('='); at != std::string::npos) {
    const size_t value = term[at + 1] == '=' ? at + 2 : at + 1;
    return find(Trim(term.substr(0, at))) != nullptr &&
           text(term.substr(0, at)) == Trim(term.substr(value));
  }
  if (const size_t at = term.find(" notin "); at != std::string::npos) {
    return !InSet(term.substr(at), text(term.substr(0, at)));
  }
  if (const size_t at = term.find(" in "); at != std::string::npos) {
    return find(Trim(term.substr(0, at))) != nullptr &&
           InSet(term.substr(at), text(term.substr(0, at)));
  }
  if (term[0] == '!') return find(Trim(term.substr(1))) == nullptr;
  return find(term) != nullptr;
}

}  // namespace

bool MatchesLabels(const Json& object, const std::string& selector) {
  const Json& labels = JsonAt(JsonAt(object, "metadata"), "labels");
  for (const std::string& term : Terms(selector)) {
    if (!MatchesTerm(term, [&](const std::string& key) -> const Json* {
          const Json& value = JsonAt(labels, key.c_str());
          return value.is_null() ? nullptr : &value;
        })) {
      return false;
    }
  }
  return true;
}

bool MatchesFields(const Json& object, const std::string& selector) {
  for (const std::string& term : Terms(selector)) {
    if (!MatchesTerm(term, [&](const std::string& path) -> const Json* {
          const Json* at = &object;
          std::stringstream in(path);
          for (std::string step; std::getline(in, step, '.');) at = &JsonAt(*at, step.c_str());
          return at->is_null() ? nullptr : at;
        })) {
      return false;
    }
  }
  return true;
}

}  // namespace understudy::test
