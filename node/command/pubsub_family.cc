// Channels: SUBSCRIBE, PUBLISH and their kin. Who listens to what is kept by pubsub/channels.h.
#include <optional>

#include "node/command/call_context.h"
#include "node/command/subscriber.h"
#include "node/net/worker.h"
#include "node/pubsub/channels.h"
#include "node/resp/errors.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"
#include "node/role/role_gate.h"

namespace understudy::command {
namespace {

using pubsub::Kind;
using resp::Writer;

// Answers to (un)subscribing, one for each name. They are pushes, so they come also when replies are off.
class Confirmations {
 public:
  Confirmations(Session& session, Kind kind, bool subscribed, Writer& reply)
      : session_(session), kind_(kind), subscribed_(subscribed), reply_(reply), late_(late_output_, reply.protocol()) {}
  ~Confirmations() {
    if (!late_output_.view().empty()) session_.connection.Append(late_output_.view());
  }

  void Tell(std::optional<std::string_view> name) {
    constexpr std::string_view kWords[pubsub::kKinds][2] = {
        {"unsubscribe", "subscribe"}, {"punsubscribe", "psubscribe"}, {"sunsubscribe", "ssubscribe"}};
    Writer& to = session_.reply_mode == Session::kReplyOn ? reply_ : late_;
    to.Push(3);
    to.Bulk(kWords[static_cast<size_t>(kind_)][subscribed_]);
    if (name) {
      to.Bulk(*name);
    } else {
      to.Null();
    }
    to.Integer(static_cast<int64_t>(Count()));
  }

 private:
  size_t Count() const {
    const auto& subscriber = session_.subscriber;
    if (subscriber == nullptr) return 0;
    if (kind_ == Kind::kShardChannel) return subscriber->count(kind_);
    return subscriber->count(Kind::kChannel) + subscriber->count(Kind::kPattern);
  }

  Session& session_;
  const Kind kind_;
  const bool subscribed_;
  Writer& reply_;
  resp::StringOutput late_output_;
  Writer late_;
};

void Listen(CallContext& ctx, Args args, Kind kind, Writer& reply) {
  Session& session = *ctx.session;
  if (session.subscriber == nullptr) {
    session.subscriber = std::make_unique<ClientSubscriber>(session);
    if (ctx.in_exec) session.subscriber->Defer();
  }
  {
    Confirmations confirmations(session, kind, true, reply);
    for (const std::string_view name : args.subspan(1)) {
      ctx.services.channels.Subscribe(*session.subscriber, kind, name);
      confirmations.Tell(name);
    }
  }
  NoteSubscriptions(session);
}

void Unlisten(CallContext& ctx, Args args, Kind kind, Writer& reply) {
  Session& session = *ctx.session;
  {
    Confirmations confirmations(session, kind, false, reply);
    if (args.size() > 1) {
      for (const std::string_view name : args.subspan(1)) {
        if (session.subscriber) ctx.services.channels.Unsubscribe(*session.subscriber, kind, name);
        confirmations.Tell(name);
      }
    } else {
      std::vector<std::string> names;
      if (session.subscriber) names = ctx.services.channels.NamesOf(*session.subscriber, kind);
      for (const std::string& name : names) {
        ctx.services.channels.Unsubscribe(*session.subscriber, kind, name);
        confirmations.Tell(name);
      }
      if (names.empty()) confirmations.Tell(std::nullopt);
    }
  }
  NoteSubscriptions(session);
}

void Subscribe(CallContext& ctx, Args args, Writer& reply) { Listen(ctx, args, Kind::kChannel, reply); }
void PSubscribe(CallContext& ctx, Args args, Writer& reply) { Listen(ctx, args, Kind::kPattern, reply); }
void SSubscribe(CallContext& ctx, Args args, Writer& reply) {
  // The others may for the sake of old clients, though they give more answers than EXEC announces.
  if (ctx.in_exec) return reply.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
  Listen(ctx, args, Kind::kShardChannel, reply);
}
void Unsubscribe(CallContext& ctx, Args args, Writer& reply) { Unlisten(ctx, args, Kind::kChannel, reply); }
void PUnsubscribe(CallContext& ctx, Args args, Writer& reply) { Unlisten(ctx, args, Kind::kPattern, reply); }
void SUnsubscribe(CallContext& ctx, Args args, Writer& reply) { Unlisten(ctx, args, Kind::kShardChannel, reply); }

void PublishTo(CallContext& ctx, Args args, bool sharded, Writer& reply) {
  const size_t receivers = ctx.services.channels.Publish(args[1], args[2], sharded);
  if (MayStream(ctx)) ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(static_cast<int64_t>(receivers));
}
void Publish(CallContext& ctx, Args args, Writer& reply) { PublishTo(ctx, args, false, reply); }
void SPublish(CallContext& ctx, Args args, Writer& reply) { PublishTo(ctx, args, true, reply); }

// ---------------------------------------------------------------------------------------------- PUBSUB

void ReplyNames(CallContext& ctx, Args args, Kind kind, Writer& reply) {
  if (args.size() > 3) return ReplyUnknownSubcommand(args, "PUBSUB", reply);
  const auto pattern = args.size() == 3 ? std::optional(args[2]) : std::nullopt;
  const std::vector<std::string> names = ctx.services.channels.Names(kind, pattern);
  reply.Array(names.size());
  for (const std::string& name : names) reply.Bulk(name);
}

void ReplyCounts(CallContext& ctx, Args args, Kind kind, Writer& reply) {
  reply.Array((args.size() - 2) * 2);
  for (const std::string_view name : args.subspan(2)) {
    reply.Bulk(name);
    reply.Integer(static_cast<int64_t>(ctx.services.channels.CountListeners(kind, name)));
  }
}

void PubsubChannels(CallContext& ctx, Args args, Writer& reply) { ReplyNames(ctx, args, Kind::kChannel, reply); }
void ShardChannels(CallContext& ctx, Args args, Writer& reply) { ReplyNames(ctx, args, Kind::kShardChannel, reply); }
void NumSub(CallContext& ctx, Args args, Writer& reply) { ReplyCounts(ctx, args, Kind::kChannel, reply); }
void ShardNumSub(CallContext& ctx, Args args, Writer& reply) { ReplyCounts(ctx, args, Kind::kShardChannel, reply); }
void NumPat(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(static_cast<int64_t>(ctx.services.channels.CountNames(Kind::kPattern)));
}

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CHANNELS [<pattern>]",
      "    Channels that somebody listens to.",
      "NUMPAT",
      "    How many patterns are listened to.",
      "NUMSUB [<channel> ...]",
      "    How many listen to each of the channels, not counting patterns.",
      "SHARDCHANNELS [<pattern>]",
      "    Shard channels that somebody listens to.",
      "SHARDNUMSUB [<shardchannel> ...]",
      "    How many listen to each of the shard channels.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kAsk = kPubsub | kLoading | kStale;
constexpr uint32_t kChange = kAsk | kNoScript | kWhenSubscribed;
constexpr uint32_t kTell = kAsk | kFast | kMayReplicate;
const Row kPubsubRows[] = {
  {"channels", -2, kAsk, {}, KeyAccess::kNone, "", "pubsub", "2.8.0", "Lists the channels that somebody listens to.", "[pattern]", PubsubChannels},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "pubsub", "6.2.0", "Lists the subcommands.", "", Help},
  {"numpat", 2, kAsk, {}, KeyAccess::kNone, "", "pubsub", "2.8.0", "Counts the patterns that somebody listens to.", "", NumPat},
  {"numsub", -2, kAsk, {}, KeyAccess::kNone, "", "pubsub", "2.8.0", "Counts those who listen to channels.", "[channel [channel ...]]", NumSub},
  {"shardchannels", -2, kAsk, {}, KeyAccess::kNone, "", "pubsub", "7.0.0", "Lists the shard channels that somebody listens to.", "[pattern]", ShardChannels},
  {"shardnumsub", -2, kAsk, {}, KeyAccess::kNone, "", "pubsub", "7.0.0", "Counts those who listen to shard channels.", "[shardchannel [shardchannel ...]]", ShardNumSub},
};
constexpr KeyForm kOneChannel[] = {{.kind = KeyForm::Kind::kChannels, .at = 1}};
constexpr KeyForm kAllChannels[] = {{.kind = KeyForm::Kind::kChannels, .at = 1, .last = -1}};
constexpr KeySpec kShardChannel{.forms = kOneChannel}, kShardChannels{.forms = kAllChannels};
const Row kRows[] = {
  {"subscribe", -2, kChange, {}, KeyAccess::kNone, "", "pubsub", "2.0.0", "Listens to channels.", "channel [channel ...]", Subscribe, {}, Channels::kAll},
  {"unsubscribe", -1, kChange, {}, KeyAccess::kNone, "", "pubsub", "2.0.0", "Stops listening to channels, or to all.", "[channel [channel ...]]", Unsubscribe},
  {"psubscribe", -2, kChange, {}, KeyAccess::kNone, "", "pubsub", "2.0.0", "Listens to channels whose names match patterns.", "pattern [pattern ...]", PSubscribe, {}, Channels::kAllPatterns},
  {"punsubscribe", -1, kChange, {}, KeyAccess::kNone, "", "pubsub", "2.0.0", "Stops listening to patterns, or to all.", "[pattern [pattern ...]]", PUnsubscribe},
  {"ssubscribe", -2, kChange, kShardChannels, KeyAccess::kNone, "", "pubsub", "7.0.0", "Listens to shard channels.", "shardchannel [shardchannel ...]", SSubscribe, {}, Channels::kAll},
  {"sunsubscribe", -1, kChange, kShardChannels, KeyAccess::kNone, "", "pubsub", "7.0.0", "Stops listening to shard channels, or to all.", "[shardchannel [shardchannel ...]]", SUnsubscribe},
  {"publish", 3, kTell, {}, KeyAccess::kNone, "", "pubsub", "2.0.0", "Sends a message to those who listen to a channel.", "channel message", Publish, {}, Channels::kFirst},
  {"spublish", 3, kTell, kShardChannel, KeyAccess::kNone, "", "pubsub", "7.0.0", "Sends a message to those who listen to a shard channel.", "shardchannel message", SPublish, {}, Channels::kFirst},
  {"pubsub", -2, 0, {}, KeyAccess::kNone, "", "pubsub", "2.8.0", "Tells who listens.", "", nullptr, kPubsubRows},
};
// clang-format on

}  // namespace

std::span<const Row> PubsubCommands() { return kRows; }

}  // namespace understudy::command
