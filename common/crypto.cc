#include "common/crypto.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <span>

#include "common/check.h"

namespace understudy::crypto {
namespace {

constexpr size_t kKeyBytes = 32;

using Key = std::shared_ptr<EVP_PKEY>;
Key Own(EVP_PKEY* key) {
  return {key, EVP_PKEY_free};
}

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
struct MdFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using MdContext = std::unique_ptr<EVP_MD_CTX, MdFree>;

const unsigned char* Data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Data(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

std::string Hex(std::span<const unsigned char> bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Bio Reader(std::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  CHECK(bio != nullptr);
  return bio;
}

std::string Written(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

// No terminal is asked for a pass phrase.
int NoPassPhrase(char*, int, int, void*) {
  return -1;
}

bool IsPem(std::string_view text) {
  return text.starts_with("-----BEGIN");
}

}  // namespace

Result<PublicKey> PublicKey::Parse(std::string_view text) {
  text = Trim(text);
  Key key;
  if (IsPem(text)) {
    key = Own(PEM_read_bio_PUBKEY(Reader(text).get(), nullptr, NoPassPhrase, nullptr));
  } else if (Result<std::string> raw = FromBase64(text); raw.ok() && raw->size() == kKeyBytes) {
    key = Own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Data(*raw), raw->size()));
  }
  if (key == nullptr || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519)
    return Invalid(
        "not an Ed25519 public key; a PEM 'PUBLIC KEY' or 32 bytes in base64 are allowed");
  return PublicKey(std::move(key));
}

bool PublicKey::Verify(std::string_view text, std::string_view signature) const {
  const MdContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1) return false;
  return EVP_DigestVerify(context.get(), Data(signature), signature.size(), Data(text),
                          text.size()) == 1;
}

std::string PublicKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  CHECK(bio != nullptr && PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return Written(bio.get());
}

std::string PublicKey::ToBase64() const {
  std::string raw(kKeyBytes, '\0');
  size_t size = raw.size();
  CHECK(EVP_PKEY_get_raw_public_key(key_.get(), Data(raw), &size) == 1 && size == kKeyBytes);
  return Base64(raw);
}

Result<SigningKey> SigningKey::Generate() {
  Key key = Own(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (key == nullptr) return Unavailable("the random generator gave no Ed25519 key");
  return SigningKey(std::move(key));
}

Result<SigningKey> SigningKey::Parse(std::string_view text) {
  text = Trim(text);
  Key key;
  if (IsPem(text)) {
    key = Own(PEM_read_bio_PrivateKey(Reader(text).get(), nullptr, NoPassPhrase, nullptr));
  } else if (Result<std::string> raw = FromBase64(text); raw.ok() && raw->size() == kKeyBytes) {
    key = Own(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Data(*raw), raw->size()));
  }
  if (key == nullptr || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519)
    return Invalid(
        "not an Ed25519 private key; a PEM 'PRIVATE KEY' without a pass phrase or 32 bytes in "
        "base64 are allowed");
  return SigningKey(std::move(key));
}

std::string SigningKey::Sign(std::string_view text) const {
  const MdContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr &&
        EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  CHECK(EVP_DigestSign(context.get(), Data(signature), &size, Data(text), text.size()) == 1 &&
        size == kSignatureBytes);
  return signature;
}

PublicKey SigningKey::Public() const {
  std::string raw(kKeyBytes, '\0');
  size_t size = raw.size();
  CHECK(EVP_PKEY_get_raw_public_key(key_.get(), Data(raw), &size) == 1);
  return PublicKey(Own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Data(raw), size)));
}

std::string SigningKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  CHECK(bio != nullptr && PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0,
                                                   nullptr, nullptr) == 1);
  return Written(bio.get());
}

std::string SigningKey::Seed() const {
  std::string raw(kKeyBytes, '\0');
  size_t size = raw.size();
  CHECK(EVP_PKEY_get_raw_private_key(key_.get(), Data(raw), &size) == 1 && size == kKeyBytes);
  return raw;
}

std::string Sha256Hex(std::string_view text) {
  unsigned char digest[kHashBytes];
  unsigned int size = 0;
  const char* const data = text.empty() ? "" : text.data();
  CHECK(EVP_Digest(data, text.size(), digest, &size, EVP_sha256(), nullptr) == 1 && size == kHashBytes);
  return Hex(digest);
}

std::string Sha1Hex(std::string_view text) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(Data(text), text.size(), digest);
  return Hex(digest);
}

std::string HmacSha256(std::string_view key, std::string_view text) {
  std::string out(kHashBytes, '\0');
  size_t size = 0;
  const char* const key_data =
      key.empty() ? "" : key.data();  // OpenSSL takes no null pointer for a key
  CHECK(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key_data, key.size(), Data(text),
                  text.size(), Data(out), out.size(), &size) != nullptr &&
        size == kHashBytes);
  return out;
}

std::string HkdfSha256(std::string_view secret, std::string_view salt, std::string_view info,
                       size_t bytes) {
  CHECK(bytes > 0 && bytes <= 255 * kHashBytes);
  // An absent salt is a block of zeros (RFC 5869, 2.2).
  const std::string pseudo_random =
      HmacSha256(salt.empty() ? std::string(kHashBytes, '\0') : std::string(salt), secret);
  std::string out, block;
  for (uint8_t i = 1; out.size() < bytes; ++i) {
    block.append(info);
    block.push_back(static_cast<char>(i));
    block = HmacSha256(pseudo_random, block);
    out.append(block);
  }
  out.resize(bytes);
  return out;
}

std::string ReplicationKey(const SigningKey& key, std::string_view group_uid, uint64_t epoch) {
  return HkdfSha256(key.Seed(), "understudy replication key 1",
                    std::string(group_uid) + "/" + std::to_string(epoch), kHashBytes);
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string Base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero byte
  out.resize(
      static_cast<size_t>(EVP_EncodeBlock(Data(out), Data(bytes), static_cast<int>(bytes.size()))));
  return out;
}

Result<std::string> FromBase64(std::string_view text) {
  const Status invalid = Invalid(
      "not base64: groups of 4 characters of A-Z a-z 0-9 + / with = at the end are allowed");
  if (text.size() % 4 != 0) return invalid;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  // OpenSSL's decoder forgives white space and misplaced padding; we don't.
  for (size_t i = 0; i + padding < text.size(); ++i) {
    const char c = text[i];
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
          c == '/'))
      return invalid;
  }
  std::string out(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(Data(out), Data(text), static_cast<int>(text.size())) < 0) return invalid;
  out.resize(out.size() - padding);
  return out;
}

}  // namespace understudy::crypto
