// Pieces that several builders share; for this folder only. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/json.h"
#include "operator/api/meta.h"

namespace understudy::manifests {

// app.kubernetes.io/*.
Json CommonLabels(const std::string& instance, const char* component);

// metadata of a child: labels and the annotations that say whose it is; no ownerReference (API.md, T4).
Json ChildMeta(const std::string& name, const api::ObjectMeta& owner, std::string_view owner_kind, Json labels);

// The object with HashOf() in its annotations.
Json WithHash(Json object);

// Service ports: `redis`, and `admin` if wanted.
Json Ports(bool with_admin);

}  // namespace understudy::manifests
