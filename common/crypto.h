// Signatures, macs and keys (FAILOVER.md section 3, "Who may order"). OpenSSL 3 behind four small
// things; any thread. Bytes are std::string; nothing here logs or keeps a secret longer than its
// owner does.
//
//   operator:  SigningKey key = *SigningKey::Generate();  secret = key.ToPem();  config_map =
//   key.Public().ToPem(); node:      PublicKey::Parse(file)->Verify(text, signature)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

struct evp_pkey_st;

namespace understudy::crypto {

inline constexpr size_t kSignatureBytes = 64;
inline constexpr size_t kHashBytes = 32;

// An Ed25519 public key.
class PublicKey {
 public:
  // A PEM "PUBLIC KEY", or the 32 raw bytes in base64; white space around it is ignored.
  static Result<PublicKey> Parse(std::string_view text);
  bool Verify(std::string_view text, std::string_view signature) const;
  std::string ToPem() const;
  std::string ToBase64() const;

 private:
  friend class SigningKey;
  explicit PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;  // immutable once made
};

// An Ed25519 private key.
class SigningKey {
 public:
  static Result<SigningKey> Generate();
  // A PEM "PRIVATE KEY" (PKCS #8), or the 32 raw bytes in base64.
  static Result<SigningKey> Parse(std::string_view text);
  std::string Sign(std::string_view text) const;
  PublicKey Public() const;
  std::string ToPem() const;
  // The 32 raw bytes, for HkdfSha256 only.
  std::string Seed() const;

 private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

// 64 lower-case hex digits.
std::string Sha256Hex(std::string_view text);
// 40 of them: names of scripts, nothing that must be safe.
std::string Sha1Hex(std::string_view text);
std::string HmacSha256(std::string_view key, std::string_view text);
// RFC 5869. bytes: at most 255 * 32.
std::string HkdfSha256(std::string_view secret, std::string_view salt, std::string_view info,
                       size_t bytes);
// The replication key of an epoch: 32 bytes that every operator process derives alike.
std::string ReplicationKey(const SigningKey& key, std::string_view group_uid, uint64_t epoch);

// Equal, in a time that depends on the lengths only.
bool EqualInConstantTime(std::string_view a, std::string_view b);

std::string Base64(std::string_view bytes);
// Standard alphabet with padding; kInvalid for anything else.
Result<std::string> FromBase64(std::string_view text);

}  // namespace understudy::crypto
