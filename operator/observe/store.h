// A watch cache that also shows what this process has just written, before the watch brings it back.
//
// The API server's answer to a write is the object's newest version; it is shown until the cache has caught
// up with it. So a plan is never made from something older than our own last write (FAILOVER.md section 5),
// and a takeover does not wait for its own watch events. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/json.h"
#include "common/log.h"
#include "operator/watch/cache.h"

namespace understudy::observe {

template <typename T>
class Store {
 public:
  using Pointer = std::shared_ptr<const T>;

  explicit Store(typename watch::Cache<T>::Projection projection) : cache(projection), projection_(std::move(projection)) {}

  watch::Cache<T> cache;

  // The newest version known; null if there is none.
  Pointer Get(const std::string& key) const {
    std::lock_guard lock(mutex_);
    const auto it = written_.find(key);
    if (it == written_.end()) return cache.Get(key);
    if (!cache.CaughtUp(key)) return it->second;
    written_.erase(it);
    return cache.Get(key);
  }

  // The objects that an index names, each in its newest version.
  std::vector<Pointer> Find(const std::string& index, const std::string& value,
                            const std::function<std::string(const T&)>& key_of) const {
    std::vector<Pointer> found = cache.Find(index, value);
    for (Pointer& one : found) {
      if (Pointer newest = Get(key_of(*one))) one = std::move(newest);
    }
    return found;
  }

  // The answer to one of our writes.
  void Wrote(const Json& object) {
    const std::string key = watch::ObjectKeyOf(object);
    Result<T> value = projection_(object);
    if (!value.ok()) {
      LOG_WARN("the API server's answer to a write of {} can't be read: {}", key, value.status().message());
      return;
    }
    std::lock_guard lock(mutex_);
    written_[key] = std::make_shared<const T>(*std::move(value));
    cache.Wrote(object);
    if (cache.CaughtUp(key)) written_.erase(key);
  }

 private:
  const typename watch::Cache<T>::Projection projection_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Pointer> written_;  // mutex_; what the cache does not show yet
};

}  // namespace understudy::observe
