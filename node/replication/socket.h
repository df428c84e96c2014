// Small helpers around sockets of the replication thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::replication {

// A literal IPv4 or IPv6 address.
bool IsIpAddress(const std::string& text);
// Starts to connect; the descriptor is non-blocking and becomes writable when the attempt has ended.
// ip: a literal IPv4 or IPv6 address; anything else is kInvalid. source: this end's address, empty = as the system
// chooses.
Result<int> StartConnect(const std::string& ip, uint16_t port, const std::string& source = "");
// OK once connected; what went wrong otherwise.
Status ConnectResult(int fd);

void SetNoDelay(int fd);
// The other side's address without port; "?" if it has none any more.
std::string PeerAddress(int fd);

bool EqualsIgnoringCase(std::string_view a, std::string_view b);

}  // namespace understudy::replication
