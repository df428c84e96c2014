#include "operator/nodes/operator_key.h"

#include "common/log.h"

namespace understudy::nodes {

namespace {

// The Secret as it is; made with `key` if there is none.
Result<Json> ReadOrMake(kube::Client& client, const std::string& name_space, const crypto::SigningKey& key,
                        Deadline deadline) {
  Result<Json> secret = client.Get(kube::kSecrets, name_space, kKeySecret, deadline);
  if (secret.ok() || secret.status().code() != Code::kNotFound) return secret;
  const Json object = {
      {"apiVersion", "v1"},
      {"kind", "Secret"},
      {"metadata",
       {{"name", kKeySecret},
        {"namespace", name_space},
        {"labels", {{"app.kubernetes.io/name", "understudy"}, {"app.kubernetes.io/managed-by", "understudy"}}}}},
      {"type", "Opaque"},
      {"data", {{kKeySecretItem, crypto::Base64(key.ToPem())}}}};
  Result<kube::FirstWrite> made = client.CreateOwned(kube::kSecrets, object, deadline);
  if (!made.ok()) return made.status().Prefixed("can't make the operator's key");
  if (made->created) LOG_INFO("made the operator's key: Secret {}/{}", name_space, kKeySecret);
  return std::move(made->object);
}

Result<crypto::SigningKey> KeyIn(const Json& secret) {
  Result<std::string> pem = crypto::FromBase64(JsonString(JsonAt(secret, "data"), kKeySecretItem));
  if (!pem.ok()) return pem.status().Prefixed("the operator's key in its Secret is not base64");
  Result<crypto::SigningKey> key = crypto::SigningKey::Parse(*pem);
  if (!key.ok()) {
    return key.status().Prefixed(std::string("Secret ") + kKeySecret + ", item " + kKeySecretItem +
                                 ", is not an Ed25519 private key; delete the Secret to have a new one made");
  }
  return key;
}

}  // namespace

Result<OperatorKey> OperatorKey::LoadOrCreate(kube::Client& client, const std::string& name_space, Deadline deadline) {
  Result<crypto::SigningKey> fresh = crypto::SigningKey::Generate();
  if (!fresh.ok()) return fresh.status();
  const Result<Json> secret = ReadOrMake(client, name_space, *fresh, deadline);
  if (!secret.ok()) return secret.status().Prefixed("can't read the operator's key");
  Result<crypto::SigningKey> key = KeyIn(*secret);
  if (!key.ok()) return key.status();
  return OperatorKey(*std::move(key));
}

Result<bool> OperatorKey::Keep(kube::Client& client, const std::string& name_space, Deadline deadline) const {
  const Result<Json> secret = ReadOrMake(client, name_space, key_, deadline);
  if (!secret.ok()) return secret.status();
  const Result<crypto::SigningKey> key = KeyIn(*secret);
  if (!key.ok()) return key.status();
  return key->ToPem() == key_.ToPem();
}

}  // namespace understudy::nodes
