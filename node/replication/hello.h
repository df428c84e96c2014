// How our own nodes prove to each other who they are before PSYNC (FAILOVER.md section 2).
//
//   replica: REPLCONF understudy-hello <group> <epoch> <incarnation> <nonce> <mac>
//   primary: +UNDERSTUDY <epoch> <incarnation> <mac>        (its own; over the replica's nonce)
//
// Both macs are HMAC-SHA256 with the replication key that the role order of this epoch carried, over texts that
// differ in their first line. So a replica knows that it reached the incarnation it was sent to, whoever has
// the address now, and a primary that only a node with an order of this epoch is fed. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::replication {

// Proof that a replica is a node of this group.
struct Hello {
  std::string group;
  uint64_t epoch = 0;
  std::string incarnation;
  std::string nonce;  // 32 hex digits, drawn by the replica
  std::string mac;    // 64 hex digits
};

// The primary's answer.
struct HelloAnswer {
  uint64_t epoch = 0;
  std::string incarnation;
  std::string mac;
};

// Fills in the mac.
void SignHello(std::string_view key, Hello* hello);
bool VerifyHello(std::string_view key, const Hello& hello);
// The line without its "+".
std::string FormatHelloAnswer(std::string_view key, const Hello& hello, std::string_view incarnation);
Result<HelloAnswer> ParseHelloAnswer(std::string_view line);
bool VerifyHelloAnswer(std::string_view key, const Hello& hello, const HelloAnswer& answer);

}  // namespace understudy::replication
