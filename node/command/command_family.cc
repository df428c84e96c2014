// COMMAND: the table, told to clients.
#include <algorithm>

#include "node/command/call_context.h"
#include "node/command/command_facts.h"
#include "node/resp/errors.h"
#include "node/resp/glob.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

struct FlagName {
  uint32_t flag;
  std::string_view name;
};
constexpr FlagName kFlagNames[] = {
    {kWrite, "write"},       {kReadonly, "readonly"},   {kDenyOom, "denyoom"},
    {kAdmin, "admin"},       {kFast, "fast"},           {kNoAuth, "no_auth"},
    {kLoading, "loading"},   {kStale, "stale"},         {kNoMulti, "no_multi"},
    {kBlocking, "blocking"}, {kNoScript, "noscript"},   {kSkipSlowlog, "skip_slowlog"},
    {kPubsub, "pubsub"},     {kAllowBusy, "allow_busy"}, {kNoAsyncLoading, "no_async_loading"},
};

std::vector<std::string> CategoryNamesOf(const Row& row) {
  std::vector<std::string> out;
  const acl::Categories categories = CategoriesOf(row);
  for (size_t i = 0; i < acl::CategoryNames().size(); ++i) {
    if (categories >> i & 1) out.push_back("@" + std::string(acl::CategoryNames()[i]));
  }
  return out;
}

bool HasKeys(const Row& row) { return row.keys.first != 0 || row.keys.find != nullptr; }

std::vector<std::string_view> AccessFlags(KeyAccess access) {
  switch (access) {
    case KeyAccess::kRead:
      return {"RO", "access"};
    case KeyAccess::kReadWrite:
      return {"RW", "access", "update"};
    case KeyAccess::kOverwrite:
      return {"OW", "update"};
    case KeyAccess::kRemove:
      return {"RM", "delete"};
    case KeyAccess::kInsert:
      return {"RW", "insert"};
    case KeyAccess::kLook:
      return {"RO"};
    case KeyAccess::kReadCached:
      return {"RW", "access"};
    case KeyAccess::kUpdate:
      return {"RW", "update"};
    case KeyAccess::kCreate:
      return {"OW", "insert"};
    case KeyAccess::kTake:
      return {"RW", "access", "delete"};
    case KeyAccess::kDelete:
      return {"RW", "delete"};
    case KeyAccess::kMerge:
      return {"RW", "access", "insert"};
    case KeyAccess::kNone:
      break;
  }
  return {};
}

// A named part of a key specification: its type, and what belongs to that.
struct Part {
  std::string_view name, type;
  std::vector<std::pair<std::string_view, int>> numbers = {};
  std::string_view keyword = {};
};

void ReplyPart(const Part& part, Writer& reply) {
  reply.Bulk(part.name);
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk(part.type);
  reply.Bulk("spec");
  reply.Map(part.numbers.size() + !part.keyword.empty());
  if (!part.keyword.empty()) {
    reply.Bulk("keyword");
    reply.Bulk(part.keyword);
  }
  for (const auto& [name, value] : part.numbers) {
    reply.Bulk(name);
    reply.Integer(value);
  }
}

struct ShownSpec {
  std::vector<std::string_view> flags;
  Part begin, find;
};

Part RangeOf(int last, int step, int limit) {
  return {"find_keys", "range", {{"lastkey", last}, {"keystep", step}, {"limit", limit}}};
}

ShownSpec SpecOf(const KeyForm& form, KeyAccess access) {
  ShownSpec spec{AccessFlags(access), {"begin_search", "unknown"}, {"find_keys", "unknown"}};
  switch (form.kind) {
    case KeyForm::Kind::kCounted:
      spec.begin = {"begin_search", "index", {{"index", form.at}}};
      spec.find = {"find_keys", "keynum", {{"keynumidx", 0}, {"firstkey", 1}, {"keystep", form.step}}};
      break;
    case KeyForm::Kind::kWord:
      spec.begin = {"begin_search", "keyword", {{"startfrom", form.at}}, form.word};
      spec.find = RangeOf(form.last, 1, form.limit);
      break;
    case KeyForm::Kind::kChannels:
      spec.flags = {"not_key"};
      spec.begin = {"begin_search", "index", {{"index", form.at}}};
      spec.find = RangeOf(form.last, 1, 0);
      break;
    case KeyForm::Kind::kUnknown:
      break;
  }
  return spec;
}

std::vector<ShownSpec> SpecsOf(const Row& row) {
  std::vector<ShownSpec> specs;
  const KeySpec& keys = row.keys;
  const KeyAccess others = keys.others != KeyAccess::kNone ? keys.others : row.access;
  const auto add_range = [&](KeyAccess access, int first, int last) {
    specs.push_back({AccessFlags(access), {"begin_search", "index", {{"index", first}}},
                     RangeOf(last < 0 ? last : last - first, keys.step, 0)});
  };
  const bool in_two = keys.others != KeyAccess::kNone && keys.forms.empty();
  if (keys.first != 0) {
    add_range(row.access, keys.first, in_two ? keys.first : keys.last);
    if (keys.vary != nullptr) specs.back().flags.push_back("variable_flags");
    if (in_two) add_range(keys.others, keys.first + keys.step, keys.last);
  }
  for (const KeyForm& form : keys.forms) specs.push_back(SpecOf(form, form.access != KeyAccess::kNone ? form.access : others));
  if (keys.find != nullptr && specs.empty()) specs.push_back(SpecOf({}, others));
  return specs;
}

void ReplyKeySpecs(const Row& row, Writer& reply) {
  const std::vector<ShownSpec> specs = SpecsOf(row);
  reply.Set(specs.size());
  for (const ShownSpec& spec : specs) {
    reply.Map(3);
    reply.Bulk("flags");
    reply.Set(spec.flags.size());
    for (const std::string_view flag : spec.flags) reply.SimpleString(flag);
    ReplyPart(spec.begin, reply);
    ReplyPart(spec.find, reply);
  }
}

void ReplyInfo(const Row& row, const std::string& name, Writer& reply) {
  reply.Array(10);
  reply.Bulk(name);
  reply.Integer(row.arity);
  std::vector<std::string_view> flags;
  for (const FlagName& f : kFlagNames) {
    if (row.flags & f.flag) flags.push_back(f.name);
  }
  if (row.keys.find != nullptr || row.keys.beyond != nullptr) flags.push_back("movablekeys");
  if (row.flags & kRunsScript) {
    flags.push_back("skip_monitor");
    flags.push_back("no_mandatory_keys");
  }
  reply.Set(flags.size());
  for (const std::string_view flag : flags) reply.SimpleString(flag);
  // Of channels of shards, too, since they decide about the node.
  const bool channels = !row.keys.forms.empty() && row.keys.forms[0].kind == KeyForm::Kind::kChannels;
  reply.Integer(channels ? row.keys.forms[0].at : row.keys.first);
  reply.Integer(!channels ? row.keys.last : row.keys.forms[0].last < 0 ? -1 : row.keys.forms[0].at);
  reply.Integer(channels ? 1 : row.keys.step);
  const auto categories = CategoryNamesOf(row);
  reply.Set(categories.size());
  for (const std::string& category : categories) reply.SimpleString(category);
  const std::vector<std::string_view> tips = TipsOf(name);
  reply.Array(tips.size());
  for (const std::string_view tip : tips) reply.Bulk(tip);
  ReplyKeySpecs(row, reply);
  reply.Array(row.subcommands.size());
  for (const Row& sub : row.subcommands) ReplyInfo(sub, name + "|" + std::string(sub.name), reply);
}

// "get" or "config|get".
const Row* FindByFullName(const Table& table, std::string_view name, std::string* full) {
  const size_t bar = name.find('|');
  const Row* row = table.Find(name.substr(0, bar));
  if (row == nullptr) return nullptr;
  *full = row->name;
  if (bar == std::string_view::npos) return row;
  const std::string_view words[] = {row->name, name.substr(bar + 1)};
  const Row* sub = FindSubcommand(*row, words);
  if (sub != nullptr) *full += "|" + std::string(sub->name);
  return sub;
}

void All(CallContext& ctx, Args, Writer& reply) {
  const auto rows = ctx.services.table.rows();
  reply.Array(rows.size());
  for (const Row* row : rows) ReplyInfo(*row, std::string(row->name), reply);
}

void Count(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(static_cast<int64_t>(ctx.services.table.rows().size()));
}

void InfoOf(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() == 2) return All(ctx, args, reply);
  reply.Array(args.size() - 2);
  for (const std::string_view name : args.subspan(2)) {
    std::string full;
    const Row* row = FindByFullName(ctx.services.table, name, &full);
    if (row == nullptr) {
      reply.NullArray();
    } else {
      ReplyInfo(*row, full, reply);
    }
  }
}

// ---------------------------------------------------------------------------------------------- DOCS

// One argument of a row's syntax text: a word, or something in brackets or with bars.
struct Argument {
  std::string text;
  bool optional = false;
  bool multiple = false;
};

// "key [NX|XX] [key value ...]" -> pieces at depth 0.
std::vector<Argument> SplitSyntax(std::string_view syntax) {
  std::vector<Argument> out;
  int depth = 0;
  std::string piece;
  const auto finish = [&] {
    if (piece.empty()) return;
    Argument a;
    a.optional = piece.front() == '[';
    if (a.optional) piece = piece.substr(1, piece.size() - 2);
    if (piece.ends_with(" ...")) {
      a.multiple = true;
      piece.resize(piece.size() - 4);
    }
    a.text = std::move(piece);
    piece.clear();
    // "key [key ...]" is one argument that may be repeated.
    if (a.optional && a.multiple && !out.empty() && out.back().text == a.text) {
      out.back().multiple = true;
      return;
    }
    out.push_back(std::move(a));
  };
  for (const char c : syntax) {
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c == ' ' && depth == 0) {
      finish();
    } else {
      piece.push_back(c);
    }
  }
  finish();
  return out;
}

// Where the character is first, outside of brackets.
size_t FindOutside(std::string_view text, char wanted) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
    if (depth == 0 && text[i] == wanted) return i;
  }
  return std::string_view::npos;
}

std::string_view TypeOf(std::string_view text) {
  if (FindOutside(text, '|') != std::string_view::npos) return "oneof";
  if (text == "key" || text == "newkey" || text == "source" || text == "destination") return "key";
  if (text == "pattern") return "pattern";
  if (text.find("unix-time") != std::string_view::npos) return "unix-time";
  if (FindOutside(text, ' ') != std::string_view::npos) return "block";
  const bool word = std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
  if (word) return "pure-token";
  for (const std::string_view number : {"seconds", "milliseconds", "count", "db", "index", "increment", "decrement",
                                        "offset", "start", "end", "timeout"}) {
    if (text == number) return "integer";
  }
  return "string";
}

void ReplyArguments(std::string_view syntax, Writer& reply);

void ReplyArgument(const Argument& a, Writer& reply) {
  const std::string_view type = TypeOf(a.text);
  std::vector<std::string_view> flags;
  if (a.optional) flags.push_back("optional");
  if (a.multiple) flags.push_back("multiple");
  std::string name;
  for (const char c : a.text) name.push_back(c == ' ' || c == '|' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  const bool parts = type == "oneof" || type == "block";
  reply.Map(2 + (type == "pure-token") + (!parts && type != "pure-token") + !flags.empty() + parts);
  reply.Bulk("name");
  reply.Bulk(name);
  reply.Bulk("type");
  reply.Bulk(type);
  if (type == "pure-token") {
    reply.Bulk("token");
    reply.Bulk(a.text);
  } else if (!parts) {
    reply.Bulk("display_text");
    reply.Bulk(a.text);
  }
  if (!flags.empty()) {
    reply.Bulk("flags");
    reply.Set(flags.size());
    for (const std::string_view flag : flags) reply.SimpleString(flag);
  }
  if (!parts) return;
  reply.Bulk("arguments");
  if (type == "block") return ReplyArguments(a.text, reply);
  std::vector<std::string_view> choices;
  std::string_view rest = a.text;
  while (!rest.empty()) {
    const size_t end = FindOutside(rest, '|');
    choices.push_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  reply.Array(choices.size());
  for (const std::string_view choice : choices) ReplyArgument({std::string(choice)}, reply);
}

void ReplyArguments(std::string_view syntax, Writer& reply) {
  const std::vector<Argument> arguments = SplitSyntax(syntax);
  reply.Array(arguments.size());
  for (const Argument& a : arguments) ReplyArgument(a, reply);
}

void ReplyDocs(const Row& row, const std::string& name, Writer& reply) {
  reply.Bulk(name);
  reply.Map(4 + !row.syntax.empty() + !row.subcommands.empty());
  reply.Bulk("summary");
  reply.Bulk(row.summary);
  reply.Bulk("since");
  reply.Bulk(row.since);
  reply.Bulk("group");
  reply.Bulk(row.group);
  reply.Bulk("complexity");
  reply.Bulk(row.subcommands.empty() ? ComplexityOf(name) : "depends on the subcommand");
  if (!row.syntax.empty()) {
    reply.Bulk("arguments");
    ReplyArguments(row.syntax, reply);
  }
  if (!row.subcommands.empty()) {
    reply.Bulk("subcommands");
    reply.Map(row.subcommands.size());
    for (const Row& sub : row.subcommands) ReplyDocs(sub, name + "|" + std::string(sub.name), reply);
  }
}

void Docs(CallContext& ctx, Args args, Writer& reply) {
  std::vector<std::pair<const Row*, std::string>> found;
  if (args.size() == 2) {
    for (const Row* row : ctx.services.table.rows()) found.emplace_back(row, row->name);
  }
  for (const std::string_view name : args.subspan(2)) {
    std::string full;
    if (const Row* row = FindByFullName(ctx.services.table, name, &full)) found.emplace_back(row, full);
  }
  reply.Map(found.size());
  for (const auto& [row, name] : found) ReplyDocs(*row, name, reply);
}

// ---------------------------------------------------------------------------------------------- LIST, GETKEYS

void List(CallContext& ctx, Args args, Writer& reply) {
  std::string_view kind, value;
  if (args.size() == 5 && Is(args[2], "filterby")) {
    kind = args[3];
    value = args[4];
    if (!Is(kind, "module") && !Is(kind, "aclcat") && !Is(kind, "pattern")) return reply.Error(resp::kSyntaxError);
  } else if (args.size() != 2) {
    return reply.Error(resp::kSyntaxError);
  }
  const Table& table = ctx.services.table;
  std::vector<std::string> names;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const std::string name = table.FullName(i);
    bool wanted = !Is(kind, "module");
    if (Is(kind, "pattern")) wanted = resp::GlobMatch(value, name, true);
    if (Is(kind, "aclcat")) {
      wanted = (CategoriesOf(table.At(i)) & acl::CategoryByName(value)) != 0;
    }
    if (wanted) names.push_back(name);
  }
  reply.Array(names.size());
  for (const std::string& name : names) reply.Bulk(name);
}

// The row and key positions of the command in args[2..]; null after the error reply.
const Row* KeysOf(CallContext& ctx, Args args, std::vector<uint32_t>* indexes, Writer& reply) {
  const Args inner = args.subspan(2);
  const Row* row = ctx.services.table.Find(inner[0]);
  if (row != nullptr && !row->subcommands.empty()) row = FindSubcommand(*row, inner);
  if (row == nullptr) {
    reply.Error("ERR Invalid command specified");
    return nullptr;
  }
  if (!HasKeys(*row)) {
    reply.Error("ERR The command has no key arguments");
    return nullptr;
  }
  const int count = static_cast<int>(inner.size());
  if ((row->arity > 0 && count != row->arity) || count < -row->arity) {
    reply.Error("ERR Invalid number of arguments specified for command");
    return nullptr;
  }
  // A script may come without keys.
  if (!FindKeys(*row, inner, indexes)) {
    reply.Error("ERR Invalid arguments specified for command");
    return nullptr;
  }
  return row;
}

void GetKeys(CallContext& ctx, Args args, Writer& reply) {
  std::vector<uint32_t> indexes;
  if (KeysOf(ctx, args, &indexes, reply) == nullptr) return;
  reply.Array(indexes.size());
  for (const uint32_t i : indexes) reply.Bulk(args[2 + i]);
}

void GetKeysAndFlags(CallContext& ctx, Args args, Writer& reply) {
  std::vector<uint32_t> indexes;
  const Row* row = KeysOf(ctx, args, &indexes, reply);
  if (row == nullptr) return;
  reply.Array(indexes.size());
  for (const uint32_t i : indexes) {
    const auto flags = AccessFlags(AccessTo(*row, args.subspan(2), i == indexes[0]));
    reply.Array(2);
    reply.Bulk(args[2 + i]);
    reply.Set(flags.size());
    for (const std::string_view flag : flags) reply.SimpleString(flag);
  }
}

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "(no subcommand)",
      "    All commands with their properties.",
      "COUNT",
      "    How many commands there are.",
      "DOCS [<command-name> ...]",
      "    What commands do.",
      "GETKEYS <full-command>",
      "    The keys of a command.",
      "GETKEYSANDFLAGS <full-command>",
      "    The keys of a command, and what it does with them.",
      "INFO [<command-name> ...]",
      "    Properties of commands.",
      "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
      "    Names of commands.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kAny = kLoading | kStale;
const Row kSubcommands[] = {
  {"count", 2, kAny, {}, KeyAccess::kNone, "@connection", "server", "2.8.13", "Counts the commands.", "", Count},
  {"docs", -2, kAny, {}, KeyAccess::kNone, "@connection", "server", "7.0.0", "Tells what commands do.", "[command-name ...]", Docs},
  {"getkeys", -3, kAny, {}, KeyAccess::kNone, "@connection", "server", "2.8.13", "Finds the keys of a command.", "command [arg ...]", GetKeys},
  {"getkeysandflags", -3, kAny, {}, KeyAccess::kNone, "@connection", "server", "7.0.0", "Finds the keys of a command and what it does with them.", "command [arg ...]", GetKeysAndFlags},
  {"help", 2, kAny, {}, KeyAccess::kNone, "@connection", "server", "5.0.0", "Lists the subcommands.", "", Help},
  {"info", -2, kAny, {}, KeyAccess::kNone, "@connection", "server", "2.8.13", "Tells the properties of commands.", "[command-name ...]", InfoOf},
  {"list", -2, kAny, {}, KeyAccess::kNone, "@connection", "server", "7.0.0", "Names the commands.", "[FILTERBY MODULE module-name|ACLCAT category|PATTERN pattern]", List},
};
const Row kRows[] = {
  {"command", -1, kAny, {}, KeyAccess::kNone, "@connection", "server", "2.8.13", "Tells about all commands.", "", All, kSubcommands},
};
// clang-format on

}  // namespace

std::span<const Row> CommandCommands() { return kRows; }

}  // namespace understudy::command
