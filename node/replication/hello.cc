#include "node/replication/hello.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <spdlog/fmt/fmt.h>

#include <charconv>

#include "common/check.h"

namespace understudy::replication {
namespace {

std::string Mac(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size) != nullptr);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

std::string ReplicaText(const Hello& hello) {
  return fmt::format("understudy replication, replica\n{}\n{}\n{}\n{}\n", hello.group, hello.epoch, hello.incarnation,
                     hello.nonce);
}

std::string PrimaryText(const Hello& hello, uint64_t epoch, std::string_view incarnation) {
  return fmt::format("understudy replication, primary\n{}\n{}\n{}\n{}\n{}\n", hello.group, epoch, incarnation,
                     hello.incarnation, hello.nonce);
}

bool Equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

void SignHello(std::string_view key, Hello* hello) { hello->mac = Mac(key, ReplicaText(*hello)); }

bool VerifyHello(std::string_view key, const Hello& hello) {
  return !key.empty() && Equal(hello.mac, Mac(key, ReplicaText(hello)));
}

std::string FormatHelloAnswer(std::string_view key, const Hello& hello, std::string_view incarnation) {
  return fmt::format("UNDERSTUDY {} {} {}", hello.epoch, incarnation,
                     Mac(key, PrimaryText(hello, hello.epoch, incarnation)));
}

Result<HelloAnswer> ParseHelloAnswer(std::string_view line) {
  constexpr std::string_view kStart = "+UNDERSTUDY ";
  const Status bad = Internal(fmt::format("'{}' is no answer to understudy-hello", line.substr(0, 200)));
  if (!line.starts_with(kStart)) return bad;
  line.remove_prefix(kStart.size());
  HelloAnswer answer;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), answer.epoch);
  if (error != std::errc()) return bad;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  const size_t space = line.rfind(' ');
  if (!line.starts_with(' ') || space == 0) return bad;
  answer.incarnation = line.substr(1, space - 1);
  answer.mac = line.substr(space + 1);
  return answer;
}

bool VerifyHelloAnswer(std::string_view key, const Hello& hello, const HelloAnswer& answer) {
  return Equal(answer.mac, Mac(key, PrimaryText(hello, answer.epoch, answer.incarnation)));
}

}  // namespace understudy::replication
