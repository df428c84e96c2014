// Files: SAVE, BGSAVE, LASTSAVE; what a server without an append-only file answers; SHUTDOWN.
#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/saver.h"
#include "node/command/shutdown.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

using resp::Writer;

constexpr std::string_view kUnderWay = "ERR Background save already in progress";

void Save(CallContext& ctx, Args, Writer& reply) {
  const bool begun = ctx.services.saver.Save(false, nullptr, [answer = ReplyLater(ctx)](Status status) {
    answer(status.ok() ? "+OK\r\n" : "-ERR\r\n");  // as Redis: its log says why
  });
  if (!begun) return reply.Error(kUnderWay);
  ctx.session->connection.Park();
}

void BackgroundSave(CallContext& ctx, Args args, Writer& reply) {
  const bool schedule = args.size() == 2 && Is(args[1], "schedule");
  if (args.size() > 1 && !schedule) return reply.Error(resp::kSyntaxError);
  Saver& saver = ctx.services.saver;
  if (ctx.in_exec) {
    if (saver.state().in_background) return reply.Error(kUnderWay);
    saver.Schedule();
    return reply.SimpleString("Background saving scheduled");
  }
  // The client's next write comes after the cut. Why a save fails is in the log and in INFO.
  const auto at_cut = [answer = ReplyLater(ctx)](Status) { answer("+Background saving started\r\n"); };
  if (!saver.Save(true, at_cut, nullptr)) return reply.Error(kUnderWay);
  ctx.session->connection.Park();
}

void LastSave(CallContext& ctx, Args, Writer& reply) { reply.Integer(ctx.services.saver.state().last_save_s); }

void RewriteLog(CallContext&, Args, Writer& reply) { reply.Error("ERR this server keeps no append-only file"); }

void ShutdownNode(CallContext& ctx, Args args, Writer& reply) {
  if (!ctx.services.standalone) return ReplyManaged(reply, "SHUTDOWN");
  Shutdown::Options options;
  bool abort = false;
  for (const std::string_view option : args.subspan(1)) {
    if (Is(option, "nosave")) {
      options.no_save = true;
    } else if (Is(option, "save")) {
      options.save = true;
    } else if (Is(option, "now")) {
      options.now = true;
    } else if (Is(option, "force")) {
      options.force = true;
    } else if (Is(option, "abort")) {
      abort = true;
    } else {
      return reply.Error(resp::kSyntaxError);
    }
  }
  const bool others = options.no_save || options.save || options.now || options.force;
  if ((abort && others) || (options.no_save && options.save)) return reply.Error(resp::kSyntaxError);
  if (abort) {
    if (!ctx.services.shutdown.Abort()) return reply.Error("ERR No shutdown in progress.");
    return reply.Ok();
  }
  if (!options.no_save && ctx.services.scripts.floor().slow()) return reply.Error(ctx.services.dispatcher.BusyText());
  LOG_INFO("User requested shutdown...");
  ctx.session->connection.Park();
  ctx.services.shutdown.Begin(options, [answer = ReplyLater(ctx)] {
    answer("-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
  });
}

// clang-format off
const Row kRows[] = {
  {"save", 1, kAdmin | kNoScript | kNoAsyncLoading | kNoMulti, {}, KeyAccess::kNone, "", "server", "1.0.0", "Saves the data set to disk.", "", Save},
  {"bgsave", -1, kAdmin | kNoScript | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "1.0.0", "Saves the data set to disk in the background.", "[SCHEDULE]", BackgroundSave},
  {"lastsave", 1, kLoading | kStale | kFast, {}, KeyAccess::kNone, "@admin @dangerous", "server", "1.0.0", "Tells when the data set was saved last.", "", LastSave},
  {"bgrewriteaof", 1, kAdmin | kNoScript | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "1.0.0", "Refused: there is no append-only file.", "", RewriteLog},
  {"shutdown", -1, kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy, {}, KeyAccess::kNone, "", "server", "1.0.0", "Saves if there are save points, and ends the process.", "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]", ShutdownNode},
};
// clang-format on

}  // namespace

std::span<const Row> SaveCommands() { return kRows; }

}  // namespace understudy::command
