#include <openssl/evp.h>

#include "operator/manifests/labels.h"
#include "operator/manifests/manifests.h"

namespace understudy::manifests {

std::string PodName(const std::string& node) { return node + "-0"; }
std::string HeadlessName(const std::string& node) { return node + "-node"; }
std::string ReaderName(const std::string& group) { return group + "-reader"; }
std::string PrimarySliceName(const std::string& group) { return group + "-primary"; }
std::string NodeSliceName(const std::string& node) { return node + "-pod"; }

std::string ServiceEndpoint(const std::string& service, const std::string& ns) {
  return service + "." + ns + ".svc:" + std::to_string(kDataPort);
}

std::string HashOf(const Json& object) {
  Json bare = object;
  if (bare.contains("metadata") && bare["metadata"].contains("annotations")) {
    bare["metadata"]["annotations"].erase(api::kHashAnnotation);
  }
  const std::string text = bare.dump();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr) == 1);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (int i = 0; i < 8; ++i) {
    hex += kHex[digest[i] >> 4];
    hex += kHex[digest[i] & 15];
  }
  return hex;
}

std::string AppliedHash(const Json& object) {
  return JsonString(JsonAt(JsonAt(object, "metadata"), "annotations"), api::kHashAnnotation);
}

Json CommonLabels(const std::string& instance, const char* component) {
  return {{"app.kubernetes.io/name", "understudy"},
          {"app.kubernetes.io/instance", instance},
          {"app.kubernetes.io/component", component},
          {"app.kubernetes.io/managed-by", "understudy"}};
}

Json ChildMeta(const std::string& name, const api::ObjectMeta& owner, std::string_view owner_kind,
               Json labels) {
  return {{"name", name},
          {"namespace", owner.ns},
          {"labels", std::move(labels)},
          {"annotations",
           {{api::kOwnerAnnotation, std::string(owner_kind) + "/" + owner.name},
            {api::kOwnerUidAnnotation, owner.uid}}}};
}

Json WithHash(Json object) {
  object["metadata"]["annotations"][api::kHashAnnotation] = HashOf(object);
  return object;
}

Json Ports(bool with_admin) {
  Json ports = Json::array();
  ports.push_back({{"name", "redis"}, {"port", kDataPort}, {"protocol", "TCP"}, {"targetPort", kDataPort}});
  if (with_admin) {
    ports.push_back(
        {{"name", "admin"}, {"port", kAdminPort}, {"protocol", "TCP"}, {"targetPort", kAdminPort}});
  }
  return ports;
}

}  // namespace understudy::manifests
