// The subcommands of CLIENT that are about client-side caching; client_family.cc has their rows.
#pragma once

#include "node/command/table.h"

namespace understudy::command {

void ClientTracking(CallContext& ctx, Args args, resp::Writer& reply);
void ClientTrackingInfo(CallContext& ctx, Args args, resp::Writer& reply);
void ClientCaching(CallContext& ctx, Args args, resp::Writer& reply);
void ClientGetRedir(CallContext& ctx, Args args, resp::Writer& reply);

}  // namespace understudy::command
