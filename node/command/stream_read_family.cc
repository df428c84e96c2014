// XREAD and XREADGROUP: what came into streams since.
//
// The words are read, then the IDs are resolved once; ServeNow gives what there is, or nothing: then the client waits.
#include <optional>
#include <string>
#include <vector>

#include "node/command/blocking.h"
#include "node/command/call_context.h"
#include "node/command/stream_access.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/stream.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Stream;
using types::StreamEntry;
using types::StreamGroup;
using types::StreamId;
using types::StreamLog;

// ---------------------------------------------------------------------------------------------- arguments

struct ReadWords {
  bool in_group = false;  // XREADGROUP
  std::optional<std::string_view> group;
  std::string_view consumer;
  bool noack = false;
  uint64_t count = UINT64_MAX;
  std::optional<std::string_view> block;  // the timeout, in milliseconds
  size_t first_key = 0, streams = 0;
};

Result<uint64_t> ReadCount(std::string_view text) {
  int64_t count = 0;
  if (!ParseInt64(text, &count)) return Invalid(std::string(resp::kNotInteger));
  return count > 0 ? static_cast<uint64_t>(count) : UINT64_MAX;
}

Status OnlyInGroup(std::string_view option) {
  return Invalid("ERR The " + std::string(option) +
                 " option is only supported by XREADGROUP. You called XREAD instead.");
}

// STREAMS with what follows it.
Status ReadStreams(Args args, size_t at, ReadWords* words) {
  const size_t left = args.size() - at - 1;
  if (left % 2 != 0) {
    return Invalid("ERR Unbalanced '" + std::string(words->in_group ? "xreadgroup" : "xread") +
                   "' list of streams: for each stream key an ID or '" + (words->in_group ? ">" : "$") +
                   "' must be specified.");
  }
  words->first_key = at + 1;
  words->streams = left / 2;
  return {};
}

Result<ReadWords> ParseReadWords(Args args, bool in_group) {
  ReadWords words;
  words.in_group = in_group;
  for (size_t i = 1; i < args.size() && words.streams == 0; ++i) {
    const size_t more = args.size() - 1 - i;
    if (Is(args[i], "block") && more > 0) {
      words.block = args[++i];
    } else if (Is(args[i], "count") && more > 0) {
      const Result<uint64_t> count = ReadCount(args[++i]);
      if (!count.ok()) return count.status();
      words.count = *count;
    } else if (Is(args[i], "streams") && more > 0) {
      RETURN_IF_ERROR(ReadStreams(args, i, &words));
    } else if (Is(args[i], "group") && more > 1) {
      if (!in_group) return OnlyInGroup("GROUP");
      words.group = args[i + 1];
      words.consumer = args[i + 2];
      i += 2;
    } else if (Is(args[i], "noack")) {
      if (!in_group) return OnlyInGroup("NOACK");
      words.noack = true;
    } else {
      return Invalid(std::string(resp::kSyntaxError));
    }
  }
  if (words.streams == 0) return Invalid(std::string(resp::kSyntaxError));
  if (in_group && !words.group) return Invalid("ERR Missing GROUP option for XREADGROUP");
  return words;
}

template <bool kInGroup>
bool FindStreams(Args args, std::vector<uint32_t>* indexes) {
  const Result<ReadWords> words = ParseReadWords(args, kInGroup);
  if (!words.ok()) return false;
  for (size_t i = 0; i < words->streams; ++i) indexes->push_back(static_cast<uint32_t>(words->first_key + i));
  return true;
}

// ---------------------------------------------------------------------------------------------- IDs

// A stream that is read, and from where on.
struct Source {
  Key key;
  StreamId after;
  bool undelivered = false;  // >
};

Status MeaninglessInGroup(std::string_view id) {
  return Invalid("ERR The " + std::string(id) +
                 " ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
                 "specifying a proper ID, or use the > ID to get new messages. The " +
                 std::string(id) + " ID would just return an empty result set.");
}

// The ID behind which entries are wanted. entry: null, or of a stream.
Status ReadPosition(std::string_view text, bool in_group, const store::Entry* entry, Source* source) {
  const bool last = text == "$", to_last = text == "+";
  if (last || to_last) {
    if (in_group) return MeaninglessInGroup(text);
    if (entry == nullptr) return {};
    const auto stream = entry->As<Stream>();
    source->after = stream->log().last_id();
    if (to_last && stream->Size() > 0) {
      source->after = stream->log().top_id();
      types::Decrement(&source->after);
    }
    return {};
  }
  if (text == ">") {
    source->undelivered = true;
    if (in_group) return {};
    return Invalid(
        "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");
  }
  const Result<StreamId> id = types::ParseStreamId(text);
  if (id.ok()) source->after = *id;
  // Nothing can come behind it; Redis takes it for another word for >.
  source->undelivered = source->after == types::kMaxStreamId;
  return id.status();
}

// False after the error reply.
bool Resolve(CallContext& ctx, Args args, const ReadWords& words, std::vector<Source>* sources, Writer& reply) {
  for (size_t i = words.first_key; i < words.first_key + words.streams; ++i) {
    const Key key = AnyKey(ctx, args[i]);
    const store::Entry* entry = nullptr;
    if (words.in_group) {
      store::Entry* found = nullptr;
      if (!LookupStreamWrite(ctx, key, &found, reply)) return false;
      entry = found;
      if (entry == nullptr || entry->As<Stream>()->FindGroup(*words.group) == nullptr) {
        reply.Error("NOGROUP No such key '" + resp::Printed(key.name) + "' or consumer group '" +
                    resp::Printed(*words.group) + "' in XREADGROUP with GROUP option");
        return false;
      }
    } else if (ctx.waits_on == nullptr && !LookupStream(ctx, key, &entry, reply)) {
      return false;  // who waits already has IDs, and is not told of what else a key became in the meantime
    }
    Source& source = sources->emplace_back(Source{key, {}});
    const Status read = ReadPosition(args[i + words.streams], words.in_group, entry, &source);
    if (!read.ok()) {
      reply.Error(read.message());
      return false;
    }
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- serving

// What is given of one stream. Good as long as no entry of it changes.
struct Given {
  struct Item {
    StreamId id;
    std::optional<StreamEntry> entry;  // none: it was deleted
  };
  std::string_view key;
  std::vector<Item> items;
};

// To a client without a group. False: there is nothing behind the ID.
bool ReadBehind(const StreamLog& log, StreamId after, uint64_t count, Given* given) {
  if (log.size() == 0 || log.top_id() <= after || !types::Increment(&after)) return false;
  log.Walk(after, types::kMaxStreamId, false, [&](const StreamEntry& entry) {
    given->items.push_back({entry.id(), entry});
    return given->items.size() < count;
  });
  return true;
}

// To a consumer of a group. False: there is nothing new. What was delivered before may be an empty list.
bool ReadInGroup(CallContext& ctx, const ReadWords& words, const Source& source, store::Entry* entry, Given* given) {
  UnwatchedEdit stream(ctx, source.key, entry);
  const StreamLog& log = stream->log();
  StreamGroup& group = *stream->FindGroup(*words.group);
  types::StreamConsumer* const consumer = SeeConsumer(ctx, source.key, group, words.consumer);
  if (!source.undelivered) {
    group.Redeliver(log, consumer, source.after, words.count, ctx.now_ms, [&](StreamId id, const StreamEntry* found) {
      given->items.push_back({id, found != nullptr ? std::optional(*found) : std::nullopt});
      // That it was delivered once more. Redis keeps this to itself, so that its replicas know less.
      if (found != nullptr) ReplicatePending(ctx, source.key, group, id, *group.FindPending(id));
    });
    return true;
  }
  if (log.size() == 0 || log.top_id() <= group.last_id()) return false;
  group.Deliver(log, consumer, words.count, words.noack, ctx.now_ms, [&](const StreamEntry& found) {
    given->items.push_back({found.id(), found});
    if (!words.noack) ReplicatePending(ctx, source.key, group, found.id(), *group.FindPending(found.id()));
  });
  ReplicateGroup(ctx, source.key, group);
  return true;
}

void ReplyGiven(const std::vector<Given>& all, Writer& reply) {
  if (reply.protocol() == 2) {
    reply.Array(all.size());
  } else {
    reply.Map(all.size());
  }
  for (const Given& given : all) {
    if (reply.protocol() == 2) reply.Array(2);
    reply.Bulk(given.key);
    reply.Array(given.items.size());
    for (const Given::Item& item : given.items) {
      if (item.entry) {
        ReplyEntry(*item.entry, reply);
      } else {
        reply.Array(2);
        ReplyId(item.id, reply);
        reply.NullArray();
      }
    }
  }
}

// The reply, if one of the streams has something to give. Else false, and nothing is written.
bool ServeNow(CallContext& ctx, const ReadWords& words, const std::vector<Source>& sources, Writer& reply) {
  std::vector<Given> all;
  for (const Source& source : sources) {
    Given given{source.key.name, {}};
    const Key& key = source.key;
    bool any = false;
    if (words.in_group) {
      any = ReadInGroup(ctx, words, source, LookupWrite(ctx, key), &given);
    } else if (const store::Entry* entry = key.shard.Peek(ctx.db, key.name, key.hash, ctx.now_ms, ctx.view);
               entry != nullptr && entry->type() == store::Type::kStream) {
      any = ReadBehind(entry->As<Stream>()->log(), source.after, words.count, &given);
    }
    if (any) all.push_back(std::move(given));
  }
  if (all.empty()) return false;
  ReplyGiven(all, reply);
  return true;
}

// Until one of the streams gets an entry. What is run anew then has the IDs that $ and + are now; a group or a key that
// is gone by then is an error. False: the client may not wait.
bool WaitForEntries(CallContext& ctx, Args args, const ReadWords& words, const std::vector<Source>& sources,
                    int64_t timeout_ms) {
  std::vector<std::string_view> command(args.begin(), args.end());
  std::vector<std::string> ids(words.streams);
  for (size_t i = 0; i < words.streams && !words.in_group; ++i) {
    ids[i] = sources[i].after.ToString();
    command[words.first_key + words.streams + i] = ids[i];
  }
  return WaitForKeys(ctx, command, args.subspan(words.first_key, words.streams),
                     {.type = store::Type::kStream, .tells_of_end = words.in_group, .timeout_ms = timeout_ms});
}

void Read(CallContext& ctx, Args args, bool in_group, Writer& reply) {
  ReadWords words;
  if (!Accept(ParseReadWords(args, in_group), &words, reply)) return;
  int64_t timeout_ms = 0;
  if (words.block && !ReadTimeout(ctx, *words.block, TimeoutUnit::kMilliseconds, &timeout_ms, reply)) return;
  std::vector<Source> sources;
  sources.reserve(words.streams);
  if (!Resolve(ctx, args, words, &sources, reply)) return;
  if (ServeNow(ctx, words, sources, reply)) return;
  if (!words.block || !WaitForEntries(ctx, args, words, sources, timeout_ms)) reply.NullArray();
}
void XRead(CallContext& ctx, Args args, Writer& reply) { Read(ctx, args, false, reply); }
void XReadGroup(CallContext& ctx, Args args, Writer& reply) { Read(ctx, args, true, reply); }

// clang-format off
constexpr KeyForm kBehindStreams[] = {{KeyForm::Kind::kWord, 1, "STREAMS", -1, 1, 2}};
constexpr KeyForm kBehindStreamsOfGroup[] = {{KeyForm::Kind::kWord, 4, "STREAMS", -1, 1, 2}};
constexpr KeySpec kRead{.find = FindStreams<false>, .forms = kBehindStreams};
constexpr KeySpec kReadInGroup{.find = FindStreams<true>, .forms = kBehindStreamsOfGroup};
const Row kRows[] = {
  {"xread", -4, kReadonly | kBlocking, kRead, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Reads entries of streams behind an ID.", "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]", XRead},
  {"xreadgroup", -7, kWrite | kBlocking, kReadInGroup, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Reads entries of streams as a consumer of a group.", "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]", XReadGroup},
};
// clang-format on

}  // namespace

std::span<const Row> StreamReadCommands() { return kRows; }

}  // namespace understudy::command
