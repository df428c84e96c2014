#include "node/command/notify.h"

#include <string>

#include "node/pubsub/channels.h"

namespace understudy::command {

void PublishEvent(Services& services, int db, std::string_view event, std::string_view key) {
  pubsub::Channels& channels = services.channels;
  if (!channels.Used()) return;
  const std::string number = std::to_string(db);
  const auto publish = [&](std::string_view prefix, std::string_view name, std::string_view message) {
    std::string channel;
    channel.reserve(prefix.size() + number.size() + 3 + name.size());
    channel.append(prefix).append(number).append("__:").append(name);
    channels.Publish(channel, message, false);
  };
  if (Notifies(services, config::kNotifyKeyspace)) publish("__keyspace@", key, event);
  if (Notifies(services, config::kNotifyKeyevent)) publish("__keyevent@", event, key);
}

}  // namespace understudy::command
