// Which fields of an object are ours by managedFields. Pure.
//
// An object that was made by POST is owned by our `Update` entry. Server-side apply adds an `Apply`
// entry beside it, and a field that an apply leaves out stays for ever while the other entry owns
// it (kubernetes#99003). So after the first apply the `Update` entry is made our `Apply` entry,
// whose fields the next apply compares with: what is not wanted any more goes.
#pragma once

#include "common/json.h"

namespace understudy::kube {

// managedFields name of everything that we write.
inline constexpr const char* kFieldManager = "understudy";

// object: as the API server sent it, with metadata.managedFields.
bool HasOwnUpdateEntry(const Json& object);
// A JSON patch that turns our `Update` entry into our `Apply` entry, in the place of the one that
// the first apply made, but only if both are still what `object` shows; an empty array if there is
// none.
Json BuildOwnByApply(const Json& object);

}  // namespace understudy::kube
