#include "common/crypto.h"

#include <gtest/gtest.h>

#include <set>

namespace understudy::crypto {
namespace {

std::string Unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

// RFC 8032, section 7.1, tests 1 and 2.
TEST(Ed25519, KnownAnswers) {
  struct Case {
    const char *seed, *pub, *text, *signature;
  };
  const Case cases[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb882159"
                         "0a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
                        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43"
                         "e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"}};
  for (const Case& c : cases) {
    Result<SigningKey> key = SigningKey::Parse(Base64(Unhex(c.seed)));
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(key->Seed(), Unhex(c.seed));
    EXPECT_EQ(key->Public().ToBase64(), Base64(Unhex(c.pub)));
    EXPECT_EQ(key->Sign(Unhex(c.text)), Unhex(c.signature));
    EXPECT_TRUE(key->Public().Verify(Unhex(c.text), Unhex(c.signature)));
  }
}

TEST(Ed25519, KeysSurvivePem) {
  Result<SigningKey> key = SigningKey::Generate();
  ASSERT_TRUE(key.ok());
  const std::string signature = key->Sign("text");
  Result<SigningKey> back = SigningKey::Parse("\n " + key->ToPem() + "\n");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->Sign("text"), signature);
  Result<PublicKey> pem = PublicKey::Parse(key->Public().ToPem());
  Result<PublicKey> raw = PublicKey::Parse(key->Public().ToBase64() + "\n");
  ASSERT_TRUE(pem.ok() && raw.ok());
  EXPECT_TRUE(pem->Verify("text", signature));
  EXPECT_TRUE(raw->Verify("text", signature));
  EXPECT_NE(key->Seed(), SigningKey::Generate()->Seed());
}

TEST(Ed25519, RefusesWhatIsNotSigned) {
  const SigningKey key = *SigningKey::Generate();
  const std::string signature = key.Sign("text");
  EXPECT_FALSE(key.Public().Verify("texT", signature));
  EXPECT_FALSE(key.Public().Verify("text", signature.substr(1)));
  EXPECT_FALSE(key.Public().Verify("text", ""));
  EXPECT_FALSE(SigningKey::Generate()->Public().Verify("text", signature));
  std::string changed = signature;
  changed[10] ^= 1;
  EXPECT_FALSE(key.Public().Verify("text", changed));
}

TEST(Ed25519, RefusesOtherKeys) {
  for (const std::string text :
       {"", "x", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) {
    EXPECT_FALSE(PublicKey::Parse(text).ok()) << text;
    EXPECT_FALSE(SigningKey::Parse(text).ok()) << text;
  }
  // A private key where a public one belongs.
  EXPECT_FALSE(PublicKey::Parse(SigningKey::Generate()->ToPem()).ok());
}

// RFC 4231, cases 1 and 2.
TEST(HmacSha256, KnownAnswers) {
  EXPECT_EQ(HmacSha256(std::string(20, '\x0b'), "Hi There"),
            Unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
  EXPECT_EQ(HmacSha256("Jefe", "what do ya want for nothing?"),
            Unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
  EXPECT_EQ(HmacSha256("", ""),
            Unhex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

// RFC 5869, cases 1 and 3.
TEST(HkdfSha256, KnownAnswers) {
  EXPECT_EQ(
      HkdfSha256(std::string(22, '\x0b'), Unhex("000102030405060708090a0b0c"),
                 Unhex("f0f1f2f3f4f5f6f7f8f9"), 42),
      Unhex(
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
  EXPECT_EQ(
      HkdfSha256(std::string(22, '\x0b'), "", "", 42),
      Unhex(
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
}

TEST(ReplicationKey, BelongsToOneGroupAndEpoch) {
  const SigningKey key = *SigningKey::Generate();
  EXPECT_EQ(ReplicationKey(key, "G", 1), ReplicationKey(*SigningKey::Parse(key.ToPem()), "G", 1));
  const std::set<std::string> keys = {ReplicationKey(key, "G", 1), ReplicationKey(key, "G", 2),
                                      ReplicationKey(key, "H", 1), ReplicationKey(key, "G1", 1),
                                      ReplicationKey(*SigningKey::Generate(), "G", 1)};
  EXPECT_EQ(keys.size(), 5u);
  for (const std::string& one : keys) EXPECT_EQ(one.size(), 32u);
}

// RFC 4648, section 10.
TEST(Base64, KnownAnswersBothWays) {
  const char* const cases[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                  {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    EXPECT_EQ(Base64(plain), coded);
    EXPECT_EQ(*FromBase64(coded), plain);
  }
  for (const char* wrong : {"Z", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zm9\n", "Zm 9", "Zm9_"})
    EXPECT_FALSE(FromBase64(wrong).ok()) << wrong;
}

TEST(EqualInConstantTime, Compares) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
}

}  // namespace
}  // namespace understudy::crypto
