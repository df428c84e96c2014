// CONFIG REWRITE: the options of the running server into its configuration file. On a worker.
#pragma once

#include "node/command/call_context.h"

namespace understudy::command {

// all: also options that have their default and no line. Replies.
void RewriteConfigFile(CallContext& ctx, bool all, resp::Writer& reply);

}  // namespace understudy::command
