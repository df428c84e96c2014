#include "node/command/config_rewrite.h"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/log.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/config/config_file.h"
#include "node/replication/replication.h"
#include "node/resp/writer.h"

namespace understudy::command {

void RewriteConfigFile(CallContext& ctx, bool all, resp::Writer& reply) {
  const config::Config& config = ctx.services.config;
  if (config.file.empty()) return reply.Error("ERR The server is running without a config file");
  if (!ctx.services.standalone) return ReplyManaged(reply, "CONFIG REWRITE");
  config::LiveLines live;
  std::vector<std::string>& users = live["user"];
  if (config.acl_file.empty()) {
    const acl::Users known = ctx.services.dispatcher.acl().users();
    for (const auto& [name, user] : known) users.push_back(name + " " + user->Describe());
  }
  std::vector<std::string>& renamed = live["rename-command"];
  for (const auto& [name, now] : config.renamed_commands) renamed.push_back(name + " " + (now.empty() ? "\"\"" : now));
  std::vector<std::string>& primary = live["replicaof"];
  const replication::ReplicationState state = ctx.services.replication.state();
  if (state.mode == replication::Mode::kReplica) {
    primary = {state.primary_ip + " " + std::to_string(state.primary_port)};
  }
  std::ifstream in(config.file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  const Status status = config::ReplaceFile(config.file, config::RewriteConfig(text.str(), config, live, all));
  if (status.ok()) return reply.Ok();
  LOG_WARN("CONFIG REWRITE: {}", status.message());
  reply.Error("ERR Rewriting config file: " + std::string(status.message()));
}

}  // namespace understudy::command
