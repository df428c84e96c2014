// The operator's key in its Secret: made once, put back, followed when it is replaced.
#include "operator/nodes/operator_key.h"

#include <gtest/gtest.h>

#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::nodes {
namespace {

class OperatorKeyTest : public testing::Test {
 protected:
  Result<OperatorKey> Load() { return OperatorKey::LoadOrCreate(client, "default", env.Soon()); }
  void DeleteSecret() { ASSERT_TRUE(client.Delete(kube::kSecrets, "default", kKeySecret, {}, env.Soon()).ok()); }

  kube::KubeTestEnv env;
  std::unique_ptr<kube::Transport> transport = kube::MakeBeastTransport(env.Context(env.Plain()));
  kube::Client client{*transport, env.clock};
};

TEST_F(OperatorKeyTest, IsMadeOnceAndReadByTheOther) {
  const auto first = Load();
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const auto second = Load();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->public_pem(), second->public_pem());
}

TEST_F(OperatorKeyTest, IsPutBackWhenItsSecretIsGone) {
  const auto key = Load();
  ASSERT_TRUE(key.ok());
  DeleteSecret();
  const auto ours = key->Keep(client, "default", env.Soon());
  ASSERT_TRUE(ours.ok()) << ours.status().ToString();
  EXPECT_TRUE(*ours);
  EXPECT_EQ(Load()->public_pem(), key->public_pem());
}

TEST_F(OperatorKeyTest, SaysWhenAnotherWasPutInItsPlace) {
  const auto key = Load();
  ASSERT_TRUE(key.ok());
  DeleteSecret();
  const auto other = Load();
  ASSERT_TRUE(other.ok());
  ASSERT_NE(other->public_pem(), key->public_pem());
  const auto ours = key->Keep(client, "default", env.Soon());
  ASSERT_TRUE(ours.ok());
  EXPECT_FALSE(*ours);
}

TEST_F(OperatorKeyTest, ASecretWithoutAKeyIsRefusedWithWhatToDo) {
  const Json secret = {{"apiVersion", "v1"},
                       {"kind", "Secret"},
                       {"metadata", {{"name", kKeySecret}, {"namespace", "default"}}},
                       {"data", {{kKeySecretItem, "bm8ga2V5"}}}};
  ASSERT_TRUE(client.CreateOwned(kube::kSecrets, secret, env.Soon()).ok());
  const auto key = Load();
  ASSERT_FALSE(key.ok());
  EXPECT_NE(key.status().ToString().find("delete the Secret"), std::string::npos) << key.status().ToString();
}

}  // namespace
}  // namespace understudy::nodes
