// CLIENT TRACKING and what belongs to it. How it works: tracking.h.
#include <algorithm>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/command/client_tracking.h"
#include "node/command/dispatch.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

struct Options {
  TrackingState wanted;
  std::vector<std::string_view> prefixes;  // as they came
};

// Everything behind ON or OFF. False after the error reply.
bool ReadOptions(CallContext& ctx, Args words, Options* options, Writer& reply) {
  const auto refuse = [&](std::string_view error) {
    reply.Error(error);
    return false;
  };
  TrackingState& wanted = options->wanted;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool more = i + 1 < words.size();
    if (Is(words[i], "redirect") && more) {
      if (wanted.redirect != 0) return refuse("ERR A client can only redirect to a single other client");
      int64_t id = 0;
      if (!ReadInt64(words[++i], &id, reply)) return false;
      const auto worker = ctx.services.dispatcher.clients().WorkerOf(static_cast<uint64_t>(id));
      if (!worker) return refuse("ERR The client ID you want redirect to does not exist");
      wanted.redirect = MakeRef(static_cast<uint64_t>(id), *worker);
    } else if (Is(words[i], "bcast")) {
      wanted.broadcast = true;
    } else if (Is(words[i], "optin")) {
      wanted.opt_in = true;
    } else if (Is(words[i], "optout")) {
      wanted.opt_out = true;
    } else if (Is(words[i], "noloop")) {
      wanted.no_loop = true;
    } else if (Is(words[i], "prefix") && more) {
      options->prefixes.push_back(words[++i]);
    } else {
      return refuse(resp::kSyntaxError);
    }
  }
  return true;
}

// Neither of the prefixes begins with another of the client's. False after the error reply.
bool PrefixesFit(const TrackingState* now, const std::vector<std::string_view>& prefixes, Writer& reply) {
  const auto overlap = [](std::string_view a, std::string_view b) { return a.starts_with(b) || b.starts_with(a); };
  const auto refuse = [&](std::string_view prefix, std::string_view which, std::string_view other) {
    reply.Error("ERR Prefix '" + std::string(prefix) + "' overlaps with " + std::string(which) + " prefix '" +
                std::string(other) + "'. Prefixes for a single client must not overlap.");
    return false;
  };
  for (size_t i = 0; i < prefixes.size(); ++i) {
    if (now != nullptr) {
      for (const std::string& other : now->prefixes) {
        if (overlap(prefixes[i], other)) return refuse(prefixes[i], "an existing", other);
      }
    }
    for (size_t j = i + 1; j < prefixes.size(); ++j) {
      if (overlap(prefixes[i], prefixes[j])) return refuse(prefixes[i], "another provided", prefixes[j]);
    }
  }
  return true;
}

// Do they fit each other and what the client has now? False after the error reply.
bool OptionsFit(const TrackingState* now, const Options& options, Writer& reply) {
  const auto refuse = [&](std::string_view error) {
    reply.Error(error);
    return false;
  };
  const TrackingState& wanted = options.wanted;
  if (!wanted.broadcast && !options.prefixes.empty()) {
    return refuse("ERR PREFIX option requires BCAST mode to be enabled");
  }
  if (now != nullptr && now->broadcast != wanted.broadcast) {
    return refuse(
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with "
        "a different mode.");
  }
  if (wanted.broadcast && (wanted.opt_in || wanted.opt_out)) {
    return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
  }
  if (wanted.opt_in && wanted.opt_out) return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode");
  if (now != nullptr && ((wanted.opt_in && now->opt_out) || (wanted.opt_out && now->opt_in))) {
    return refuse(
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with "
        "a different mode.");
  }
  return !wanted.broadcast || PrefixesFit(now, options.prefixes, reply);
}

}  // namespace

void ClientTracking(CallContext& ctx, Args args, Writer& reply) {
  Options options;
  if (!ReadOptions(ctx, args.subspan(3), &options, reply)) return;
  Tracking& tracking = ctx.services.dispatcher.tracking();
  if (Is(args[2], "on")) {
    if (!OptionsFit(ctx.session->tracking.get(), options, reply)) return;
    options.wanted.prefixes.insert(options.prefixes.begin(), options.prefixes.end());
    tracking.Enable(ctx, std::move(options.wanted));
  } else if (Is(args[2], "off")) {
    tracking.Disable(*ctx.session);
  } else {
    return reply.Error(resp::kSyntaxError);
  }
  reply.Ok();
}

void ClientTrackingInfo(CallContext& ctx, Args, Writer& reply) {
  const Session& session = *ctx.session;
  const TrackingState* const t = session.tracking.get();
  std::vector<std::string_view> flags = {t != nullptr ? "on" : "off"};
  if (t != nullptr) {
    if (t->broadcast) flags.push_back("bcast");
    if (t->opt_in) flags.push_back("optin");
    if (t->opt_in && t->caching) flags.push_back("caching-yes");
    if (t->opt_out) flags.push_back("optout");
    if (t->opt_out && t->caching) flags.push_back("caching-no");
    if (t->no_loop) flags.push_back("noloop");
    if (session.redirect_broken.load(std::memory_order_relaxed)) flags.push_back("broken_redirect");
  }
  reply.Map(3);
  reply.Bulk("flags");
  reply.Set(flags.size());
  for (const std::string_view flag : flags) reply.Bulk(flag);
  reply.Bulk("redirect");
  reply.Integer(session.redirects_to.load(std::memory_order_relaxed));
  reply.Bulk("prefixes");
  reply.Array(t != nullptr ? t->prefixes.size() : 0);
  if (t == nullptr) return;
  for (const std::string& prefix : t->prefixes) reply.Bulk(prefix);
}

void ClientCaching(CallContext& ctx, Args args, Writer& reply) {
  TrackingState* const t = ctx.session->tracking.get();
  if (t == nullptr) {
    return reply.Error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
  }
  if (Is(args[2], "yes")) {
    if (!t->opt_in) return reply.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
  } else if (Is(args[2], "no")) {
    if (!t->opt_out) return reply.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  } else {
    return reply.Error(resp::kSyntaxError);
  }
  t->caching = true;
  reply.Ok();
}

void ClientGetRedir(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(ctx.session->redirects_to.load(std::memory_order_relaxed));
}

}  // namespace understudy::command
