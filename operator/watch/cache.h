// The operator's memory of one collection: typed values, made from each document by a projection
// and kept without it (a kept document of one Pod costs 67 kB; managedFields are never kept).
//
//   Cache<Pod> pods([](const Json& j) { return api::DecodePod(j); });
//   pods.AddIndex("group", [](const Pod& p) { return std::vector{p.group_label}; });
//   pods.AddHandler([&](const Change<Pod>& c) { queue.Add(…); });
//   Watcher watcher({kPods, "", "app.kubernetes.io/managed-by=understudy"}, …, pods);
//
// Threads: the watcher's thread writes; any thread reads. Values are immutable and shared. Handlers
// run in the watcher's thread, in the order of the changes, after the cache shows them, without a
// lock. Indices and handlers are added before the watcher starts.
//
// Read your own writes: after a write of an object, Wrote(key, resourceVersion from its answer);
// until the cache has seen that version CaughtUp(key) is false, and whoever decides about the key
// waits for its next change instead of deciding by what it has already changed. Versions of a
// resource are comparable (KEP-5504), and a watch delivers them in order.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "operator/kube/resource.h"
#include "operator/watch/watcher.h"

namespace understudy::watch {

// "namespace/name", or "name" of a cluster-scoped object.
std::string ObjectKey(std::string_view name_space, std::string_view name);
std::string ObjectKeyOf(const Json& object);

// One change of one object. An object that was deleted and made again is two changes.
template <typename T>
struct Change {
  std::string key;
  std::shared_ptr<const T> before;  // null: it is new
  std::shared_ptr<const T> after;   // null: it is gone
  // Of an object that is gone: its final state, or, if nobody saw it go, the last one known.
  std::shared_ptr<const T> last_state;
  bool final_state_unknown = false;
  bool initial = false;  // part of the first full state: less urgent than what happens now
};

template <typename T>
class Cache final : public WatchTarget {
 public:
  using Pointer = std::shared_ptr<const T>;
  using Projection = std::function<Result<T>(const Json&)>;
  using IndexFunction = std::function<std::vector<std::string>(const T&)>;
  using Handler = std::function<void(const Change<T>&)>;

  // A document that the projection refuses is logged and changes nothing: the last good value
  // stays.
  explicit Cache(Projection projection) : projection_(std::move(projection)) {}

  void AddIndex(const std::string& index, IndexFunction values_of) {
    std::lock_guard lock(mutex_);
    CHECK(items_.empty());
    indices_[index].values_of = std::move(values_of);
  }
  void AddHandler(Handler handler) { handlers_.push_back(std::move(handler)); }

  // Null: no such object.
  Pointer Get(const std::string& key) const {
    std::lock_guard lock(mutex_);
    const auto it = items_.find(key);
    return it == items_.end() ? nullptr : it->second.value;
  }
  // In the order of their keys.
  std::vector<Pointer> All() const {
    std::lock_guard lock(mutex_);
    std::vector<Pointer> out;
    out.reserve(items_.size());
    for (const auto& [key, item] : items_) out.push_back(item.value);
    return out;
  }
  // The objects whose index function named `value`, in the order of their keys.
  std::vector<Pointer> Find(const std::string& index, const std::string& value) const {
    std::lock_guard lock(mutex_);
    const auto it = indices_.find(index);
    CHECK(it != indices_.end());
    std::vector<Pointer> out;
    const auto keys = it->second.keys.find(value);
    if (keys == it->second.keys.end()) return out;
    for (const std::string& key : keys->second) out.push_back(items_.at(key).value);
    return out;
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }

  // True once the first full state is in force; stays true.
  bool Synced() const {
    std::lock_guard lock(mutex_);
    return synced_;
  }
  // False: not within `timeout`.
  bool WaitSynced(Duration timeout) const {
    std::unique_lock lock(mutex_);
    return synced_changed_.wait_for(lock, std::chrono::nanoseconds(timeout.ns),
                                    [&] { return synced_; });
  }

  // We wrote the object, and the API server gave it this version.
  void Wrote(const std::string& key, const std::string& resource_version) {
    std::lock_guard lock(mutex_);
    if (!kube::IsResourceVersion(resource_version) || SeenLocked(key, resource_version)) return;
    auto& minimum = awaited_versions_[key];
    if (minimum.empty() || kube::NotOlder(resource_version, minimum)) minimum = resource_version;
  }
  void Wrote(const Json& object) {
    Wrote(ObjectKeyOf(object), JsonString(JsonAt(object, "metadata"), "resourceVersion"));
  }
  // We deleted the object with this uid, and no finalizer keeps it (then Wrote() is right).
  void Deleted(const std::string& key, const std::string& uid) {
    std::lock_guard lock(mutex_);
    const auto it = items_.find(key);
    if (it != items_.end() && it->second.uid == uid) awaited_deletions_[key] = uid;
  }
  // False while what the cache shows of this key is older than our own last write of it.
  bool CaughtUp(const std::string& key) const {
    std::lock_guard lock(mutex_);
    return !awaited_versions_.contains(key) && !awaited_deletions_.contains(key);
  }

  // WatchTarget; the watcher's thread.
  void ClearStaged() override { staged_.clear(); }
  void Stage(const Json& object) override { staged_[ObjectKeyOf(object)] = Project(object); }
  void Unstage(const Json& object) override { staged_.erase(ObjectKeyOf(object)); }
  void Commit(const std::string& resource_version) override;
  void Upsert(const Json& object) override {
    std::vector<Change<T>> changes;
    Item item = Project(object);
    {
      std::lock_guard lock(mutex_);
      const std::string version = item.resource_version;
      if (item.value) PutLocked(ObjectKeyOf(object), std::move(item), &changes);
      // Before the handlers: whoever they wake asks CaughtUp at once.
      ProgressLocked(version);
    }
    Notify(changes);
  }
  void Remove(const Json& object) override {
    std::vector<Change<T>> changes;
    Item item = Project(object);
    {
      std::lock_guard lock(mutex_);
      EraseLocked(ObjectKeyOf(object), std::move(item.value), &changes);
      ProgressLocked(item.resource_version);
    }
    Notify(changes);
  }
  void Progress(const std::string& resource_version) override {
    std::lock_guard lock(mutex_);
    ProgressLocked(resource_version);
  }

 private:
  struct Item {
    Pointer value;  // null: the projection refused the document
    std::string resource_version;
    std::string uid;
  };
  struct Index {
    IndexFunction values_of;
    std::unordered_map<std::string, std::set<std::string>> keys;
  };

  Item Project(const Json& object) const {
    const Json& metadata = JsonAt(object, "metadata");
    Item item{nullptr, JsonString(metadata, "resourceVersion"), JsonString(metadata, "uid")};
    auto value = projection_(object);
    if (value.ok()) {
      item.value = std::make_shared<const T>(*std::move(value));
    } else {
      LOG_ERROR("{} {} can't be read and is ignored: {}", JsonString(object, "kind"),
                ObjectKeyOf(object), value.status().message());
    }
    return item;
  }

  bool SeenLocked(const std::string& key, const std::string& version) const {
    if (kube::NotOlder(progress_, version)) return true;
    const auto it = items_.find(key);
    return it != items_.end() && kube::NotOlder(it->second.resource_version, version);
  }
  // Versions are delivered in order: everything up to this one has been seen.
  void ProgressLocked(const std::string& resource_version) {
    progress_ = resource_version;
    if (awaited_versions_.empty()) return;
    std::erase_if(awaited_versions_,
                  [&](const auto& entry) { return SeenLocked(entry.first, entry.second); });
  }
  void ForgetDeletedLocked(const std::string& key, const std::string& uid_now) {
    const auto it = awaited_deletions_.find(key);
    if (it != awaited_deletions_.end() && it->second != uid_now) awaited_deletions_.erase(it);
  }

  void IndexLocked(const std::string& key, const T& value, bool add) {
    for (auto& [name, index] : indices_) {
      for (const std::string& entry : index.values_of(value)) {
        if (add) {
          index.keys[entry].insert(key);
        } else if (auto it = index.keys.find(entry); it != index.keys.end()) {
          it->second.erase(key);
          if (it->second.empty()) index.keys.erase(it);
        }
      }
    }
  }
  void PutLocked(const std::string& key, Item item, std::vector<Change<T>>* changes) {
    auto it = items_.find(key);
    if (it != items_.end() && it->second.uid != item.uid) {
      EraseLocked(key, nullptr, changes);
      it = items_.end();
    }
    Change<T> change{.key = key, .after = item.value, .initial = !synced_};
    if (it != items_.end()) {
      change.before = it->second.value;
      IndexLocked(key, *it->second.value, false);
    }
    IndexLocked(key, *item.value, true);
    ForgetDeletedLocked(key, item.uid);
    items_[key] = std::move(item);
    changes->push_back(std::move(change));
  }
  // last_state null: nobody saw it go.
  void EraseLocked(const std::string& key, Pointer last_state, std::vector<Change<T>>* changes) {
    const auto it = items_.find(key);
    if (it == items_.end()) return;
    Change<T> change{.key = key, .before = it->second.value};
    change.final_state_unknown = last_state == nullptr;
    change.last_state = last_state ? std::move(last_state) : it->second.value;
    IndexLocked(key, *it->second.value, false);
    items_.erase(it);
    ForgetDeletedLocked(key, "");
    changes->push_back(std::move(change));
  }
  void Notify(const std::vector<Change<T>>& changes) const {
    for (const auto& change : changes) {
      for (const auto& handler : handlers_) handler(change);
    }
  }

  const Projection projection_;
  std::vector<Handler> handlers_;       // fixed before the watcher starts
  std::map<std::string, Item> staged_;  // the watcher's thread

  mutable std::mutex mutex_;
  mutable std::condition_variable synced_changed_;
  bool synced_ = false;                   // mutex_
  std::string progress_;                  // mutex_; everything up to here was delivered
  std::map<std::string, Item> items_;     // mutex_
  std::map<std::string, Index> indices_;  // mutex_
  std::map<std::string, std::string> awaited_versions_;   // mutex_; key -> version we wrote
  std::map<std::string, std::string> awaited_deletions_;  // mutex_; key -> uid we deleted
};

template <typename T>
void Cache<T>::Commit(const std::string& resource_version) {
  std::vector<Change<T>> changes;
  {
    std::lock_guard lock(mutex_);
    std::vector<std::string> gone;
    for (const auto& [key, item] : items_) {
      if (!staged_.contains(key)) gone.push_back(key);
    }
    for (const std::string& key : gone) EraseLocked(key, nullptr, &changes);
    for (auto& [key, item] : staged_) {
      const auto it = items_.find(key);
      const bool same = it != items_.end() && it->second.uid == item.uid &&
                        it->second.resource_version == item.resource_version;
      if (item.value && !same) PutLocked(key, std::move(item), &changes);
    }
    // Versions that went back mean that the cluster's data was restored: what we wrote never comes.
    if (kube::IsResourceVersion(progress_) && !kube::NotOlder(resource_version, progress_)) {
      awaited_versions_.clear();
      awaited_deletions_.clear();
    }
    ProgressLocked(resource_version);
  }
  staged_.clear();
  Notify(changes);
  std::lock_guard lock(mutex_);
  synced_ = true;
  synced_changed_.notify_all();
}

}  // namespace understudy::watch
