// Which fields of an object are ours by managedFields. Pure.
//
// An object that was made by POST is owned by our `Update` entry. Server-side apply adds an `Apply`
// entry beside it, and a field that a later apply leaves out would stay for ever, being owned by
// the other entry (kubernetes#99003). So the `Update` entry is taken out once, after the first
// apply (before it, it is the only entry, and the API server ignores the removal of the last one).
#pragma once

#include "common/json.h"

namespace understudy::kube {

// managedFields name of everything that we write.
inline constexpr const char* kFieldManager = "understudy";

// object: as the API server sent it, with metadata.managedFields.
bool HasOwnUpdateEntry(const Json& object);
// A JSON patch that removes our `Update` entries, but only if they are still what `object` shows;
// an empty array if there is nothing to remove.
Json BuildDropOwnUpdateEntry(const Json& object);

}  // namespace understudy::kube
