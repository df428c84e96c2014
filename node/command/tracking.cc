#include "node/command/tracking.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/check.h"
#include "common/random.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/net/worker.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

thread_local ClientRef author_of_thread = 0;

uint64_t Random() {
  static thread_local RandomSequence sequence;
  return sequence();
}

// A key's node in a table, and its part of the buckets; as large as it is about.
constexpr size_t kKeyBytes = 96;
// Of a letter, beside its body.
constexpr size_t kLetterBytes = 64;
constexpr size_t kMostLetterBytes = 4 * 1024 * 1024;
constexpr size_t kMostChangedBytes = 1024 * 1024;  // of a prefix
// Keys that are dropped at once: less than half a millisecond.
constexpr size_t kDropsAtOnce = 500;

constexpr std::string_view kInvalidate = "2\r\n$10\r\ninvalidate\r\n";
constexpr std::string_view kInvalidateMessage = "3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";

const std::shared_ptr<const std::string>& Everything(int protocol) {
  static const auto kResp2 = std::make_shared<const std::string>("$-1\r\n");
  static const auto kResp3 = std::make_shared<const std::string>("_\r\n");
  return protocol == 3 ? kResp3 : kResp2;
}

class BodyWriter {
 public:
  void Add(std::string_view key) {
    ++count_;
    text_.append("$").append(std::to_string(key.size())).append("\r\n").append(key).append("\r\n");
  }
  size_t count() const { return count_; }
  std::shared_ptr<const std::string> Finish() const {
    return std::make_shared<const std::string>("*" + std::to_string(count_) + "\r\n" + text_);
  }

 private:
  size_t count_ = 0;
  std::string text_;
};

}  // namespace

ClientRef RefOf(const Session& session) {
  return MakeRef(session.connection.id(), session.connection.worker().index());
}

Tracking::Author::Author(ClientRef client) : before_(author_of_thread) { author_of_thread = client; }
Tracking::Author::~Author() { author_of_thread = before_; }

Tracking::Tracking(uint32_t workers) : mailboxes_(workers), sessions_(workers) { CHECK(workers <= 1u << kWorkerBits); }

void Tracking::Attach(Services& services) {
  services_ = &services;
  shards_ = std::make_unique<PerShard[]>(services.keyspace.shard_count());
  services.keyspace.SetKeyListener(this);
}

// ---------------------------------------------------------------------------------------------- who tracks

void Tracking::Enable(CallContext& ctx, TrackingState wanted) {
  Session& session = *ctx.session;
  const ClientRef client = RefOf(session);
  if (session.tracking == nullptr) {
    session.tracking = std::make_unique<TrackingState>();
    sessions_[session.connection.worker().index()].insert(&session);
    clients_.fetch_add(1);
    if (wanted.broadcast) broadcasters_.fetch_add(1);
  }
  std::set<std::string> prefixes = std::move(session.tracking->prefixes);
  if (wanted.broadcast && wanted.prefixes.empty()) wanted.prefixes.insert("");
  {
    std::lock_guard lock(prefixes_mutex_);
    prefixes.merge(wanted.prefixes);
    for (const std::string& prefix : prefixes) prefixes_[prefix].clients[client] = !wanted.no_loop;
  }
  wanted.prefixes = std::move(prefixes);
  wanted.prefix_bytes = 0;
  for (const std::string& prefix : wanted.prefixes) wanted.prefix_bytes += 2 * (prefix.size() + 96);
  *session.tracking = std::move(wanted);
  session.NoteWay();
  session.tracks.store(true, std::memory_order_relaxed);
  session.broadcasts.store(session.tracking->broadcast, std::memory_order_relaxed);
  session.redirect_broken.store(false, std::memory_order_relaxed);
  session.redirects_to.store(static_cast<int64_t>(IdOf(session.tracking->redirect)), std::memory_order_relaxed);
  if (!session.tracking->broadcast) return;
  // After that every change is seen: broadcasters_ was counted before, so no shard stops to tell.
  for (uint32_t i = 0; i < ctx.keyspace.shard_count(); ++i) {
    ctx.WithShard(i, [](store::Shard& shard) { shard.SetTells(true); });
  }
}

void Tracking::Disable(Session& session) {
  if (session.tracking == nullptr) return;
  const ClientRef client = RefOf(session);
  if (session.tracking->broadcast) {
    std::lock_guard lock(prefixes_mutex_);
    for (const std::string& name : session.tracking->prefixes) {
      const auto prefix = prefixes_.find(name);
      prefix->second.clients.erase(client);
      if (prefix->second.clients.empty()) prefixes_.erase(prefix);
    }
    broadcasters_.fetch_sub(1);
  }
  clients_.fetch_sub(1);
  sessions_[session.connection.worker().index()].erase(&session);
  session.tracking.reset();
  session.NoteWay();
  session.tracks.store(false, std::memory_order_relaxed);
  session.broadcasts.store(false, std::memory_order_relaxed);
  session.redirect_broken.store(false, std::memory_order_relaxed);
  session.redirects_to.store(-1, std::memory_order_relaxed);
}

size_t Tracking::prefixes() const {
  std::lock_guard lock(prefixes_mutex_);
  return prefixes_.size();
}

// ---------------------------------------------------------------------------------------------- reads

bool Tracking::Reads(const Session& session) {
  const TrackingState* const t = session.tracking.get();
  if (t == nullptr || t->broadcast) return false;
  return !(t->opt_in && !t->caching) && !(t->opt_out && t->caching);
}

void Tracking::Run(CallContext& ctx, const Row& row, Args args, resp::Writer& reply) {
  const Author author(RefOf(*ctx.session));
  row.handler(ctx, args, reply);
  Remember(ctx, row, args);
}

void Tracking::Remember(CallContext& ctx, const Row& row, Args args) {
  if (Reads(*ctx.session)) RememberFor(RefOf(*ctx.session), ctx, row, args);
}

void Tracking::RememberFor(ClientRef client, const CallContext& ctx, const Row& row, Args args) {
  // What a script reads is entered as it reads it.
  if (!(row.flags & kReadonly) || (row.flags & (kRunsScript | kPubsub))) return;
  std::vector<uint32_t> indexes;
  if (!FindKeys(row, args, &indexes)) return;
  for (const uint32_t i : indexes) {
    const uint64_t hash = ctx.keyspace.Hash(args[i]);
    ctx.keyspace.ShardOf(hash).SetTells(true);
    Enter(IndexOf(hash), args[i], client);
  }
}

void Tracking::Enter(uint32_t index, std::string_view key, ClientRef client) {
  PerShard& shard = shards_[index];
  auto at = shard.keys.find(key);
  if (at == shard.keys.end()) {
    at = shard.keys.emplace(std::string(key), Clients{}).first;
    keys_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(kKeyBytes + key.size(), std::memory_order_relaxed);
  }
  Clients& clients = at->second;
  const auto place = std::lower_bound(clients.begin(), clients.end(), client);
  if (place == clients.end() || *place != client) {
    clients.insert(place, client);
    items_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(sizeof(ClientRef), std::memory_order_relaxed);
  }
  if (Excess() > 0) DropSome(shard, 1, &at->first);
}

size_t Tracking::Excess() const {
  const auto most = static_cast<size_t>(services_->config.tracking_table_keys.load(std::memory_order_relaxed));
  const size_t keys = keys_.load(std::memory_order_relaxed);
  return most > 0 && keys > most ? keys - most : 0;
}

void Tracking::Drop(PerShard& shard, Keys::iterator at, ClientRef author) {
  BodyWriter writer;
  writer.Add(at->first);
  const Body body = writer.Finish();
  for (const ClientRef client : at->second) Put(WorkerOf(client), {Letter::Kind::kRead, client, author, body});
  keys_.fetch_sub(1, std::memory_order_relaxed);
  items_.fetch_sub(at->second.size(), std::memory_order_relaxed);
  bytes_.fetch_sub(kKeyBytes + at->first.size() + at->second.size() * sizeof(ClientRef), std::memory_order_relaxed);
  shard.keys.erase(at);
}

size_t Tracking::DropSome(PerShard& shard, size_t most, const std::string* kept) {
  size_t dropped = 0;
  const size_t buckets = shard.keys.bucket_count();
  size_t bucket = shard.keys.empty() ? 0 : Random() % buckets;
  for (size_t i = 0; i < buckets && dropped < most && !shard.keys.empty(); ++i, bucket = (bucket + 1) % buckets) {
    std::vector<const std::string*> names;
    for (auto it = shard.keys.begin(bucket); it != shard.keys.end(bucket) && dropped + names.size() < most; ++it) {
      if (&it->first != kept) names.push_back(&it->first);
    }
    for (const std::string* name : names) Drop(shard, shard.keys.find(*name), 0);
    dropped += names.size();
  }
  return dropped;
}

bool Tracking::Tidy() {
  store::Keyspace& keyspace = services_->keyspace;
  const uint32_t count = keyspace.shard_count();
  const bool unused = clients() == 0;
  const auto too_many = [&] { return unused ? keys() : Excess(); };
  if (too_many() == 0) return false;
  std::lock_guard lock(tidy_mutex_);
  const uint32_t first = static_cast<uint32_t>(Random() % count);
  size_t dropped = 0;
  for (uint32_t i = 0; i < count && dropped < kDropsAtOnce; ++i) {
    const uint32_t index = (first + i) % count;
    store::OneShardGuard guard(keyspace, keyspace.shard(index));
    PerShard& shard = shards_[index];
    const size_t excess = too_many();
    if (excess == 0) return false;
    dropped += DropSome(shard, std::min({excess, unused ? excess : excess / count + 1, kDropsAtOnce - dropped}), nullptr);
  }
  return too_many() > 0;
}

// ---------------------------------------------------------------------------------------------- changes

void Tracking::OnKeyChanged(store::Shard& shard, std::string_view key, bool by_itself) {
  PerShard& mine = shards_[shard.index()];
  const ClientRef author = by_itself ? 0 : author_of_thread;
  if (const auto at = mine.keys.find(key); at != mine.keys.end()) Drop(mine, at, author);
  const bool broadcasting = broadcasters_.load() > 0;
  if (broadcasting) NoteBroadcast(key, author);
  if (!broadcasting && mine.keys.empty()) shard.SetTells(false);
}

void Tracking::NoteBroadcast(std::string_view key, ClientRef author) {
  bool noted = false;
  {
    std::lock_guard lock(prefixes_mutex_);
    for (auto& [name, prefix] : prefixes_) {
      if (!key.starts_with(name)) continue;
      noted = true;
      if (prefix.everything) continue;
      const auto [at, is_new] = prefix.changed.insert_or_assign(std::string(key), author);
      if (is_new) prefix.changed_bytes += key.size() + kKeyBytes;
      if (prefix.changed_bytes <= kMostChangedBytes) continue;
      prefix.everything = true;
      prefix.changed.clear();
      prefix.changed_bytes = 0;
    }
  }
  if (noted) stirred_.store(true, std::memory_order_release);
}

void Tracking::SendBroadcasts() {
  std::lock_guard lock(prefixes_mutex_);
  for (auto& [name, prefix] : prefixes_) {
    if (prefix.changed.empty() && !prefix.everything) continue;
    Body all;
    if (!prefix.everything) {
      BodyWriter writer;
      for (const auto& [key, author] : prefix.changed) writer.Add(key);
      all = writer.Finish();
    }
    for (const auto& [client, loops] : prefix.clients) {
      Body body = all;
      if (!loops && all != nullptr) {
        BodyWriter writer;
        for (const auto& [key, author] : prefix.changed) {
          if (author != client) writer.Add(key);
        }
        if (writer.count() == 0) continue;
        if (writer.count() < prefix.changed.size()) body = writer.Finish();
      }
      Put(WorkerOf(client), {Letter::Kind::kBroadcast, client, 0, body});
    }
    prefix.changed.clear();
    prefix.changed_bytes = 0;
    prefix.everything = false;
  }
}

void Tracking::OnDatabasesChanged() {
  for (uint32_t i = 0; i < services_->keyspace.shard_count(); ++i) {
    Keys& keys = shards_[i].keys;
    for (const auto& [key, clients] : keys) {
      keys_.fetch_sub(1, std::memory_order_relaxed);
      items_.fetch_sub(clients.size(), std::memory_order_relaxed);
      bytes_.fetch_sub(kKeyBytes + key.size() + clients.size() * sizeof(ClientRef), std::memory_order_relaxed);
    }
    keys.clear();
  }
  if (clients() == 0) return;
  for (uint32_t worker = 0; worker < mailboxes_.size(); ++worker) Put(worker, {Letter::Kind::kEveryone});
}

// ---------------------------------------------------------------------------------------------- letters

void Tracking::Put(uint32_t worker, Letter letter) {
  using Kind = Letter::Kind;
  Mailbox& box = mailboxes_[worker];
  {
    std::lock_guard lock(box.mutex);
    const bool of_everyone = letter.kind == Kind::kRead || letter.kind == Kind::kBroadcast;
    if (box.everyone && (of_everyone || letter.kind == Kind::kEveryone)) return;
    box.everyone = box.everyone || letter.kind == Kind::kEveryone;
    box.bytes += kLetterBytes + (letter.body ? letter.body->size() : 0);
    box.letters.push_back(std::move(letter));
    box.unwoken = true;
    if (box.bytes > kMostLetterBytes) Condense(box);
  }
  stirred_.store(true, std::memory_order_release);
}

// What it says is true all the same, and it takes no more room than the worker's clients that track.
void Tracking::Condense(Mailbox& box) {
  std::set<std::pair<ClientRef, ClientRef>> redirected, broken;
  for (const Letter& letter : box.letters) {
    if (letter.kind == Letter::Kind::kRedirected) redirected.emplace(letter.to, letter.from);
    if (letter.kind == Letter::Kind::kBroken) broken.emplace(letter.to, letter.from);
  }
  box.letters.clear();
  box.letters.push_back({Letter::Kind::kEveryone});
  for (const auto& [to, from] : redirected) box.letters.push_back({Letter::Kind::kRedirected, to, from});
  for (const auto& [to, from] : broken) box.letters.push_back({Letter::Kind::kBroken, to, from});
  box.everyone = true;
  box.bytes = box.letters.size() * kLetterBytes;
}

void Tracking::WakeAll(net::Worker* here) {
  while (stirred_.exchange(false)) {
    SendBroadcasts();
    for (uint32_t i = 0; i < mailboxes_.size(); ++i) {
      {
        std::lock_guard lock(mailboxes_[i].mutex);
        if (!std::exchange(mailboxes_[i].unwoken, false)) continue;
      }
      net::Worker& worker = *services_->dispatcher.workers()[i];
      if (&worker == here) {
        Hand(worker);
      } else {
        worker.Post([this, &worker] { Hand(worker); });
      }
    }
  }
}

void Tracking::Hand(net::Worker& worker) {
  Mailbox& box = mailboxes_[worker.index()];
  std::vector<Letter> letters;
  {
    std::lock_guard lock(box.mutex);
    letters.swap(box.letters);
    box.bytes = 0;
    box.everyone = false;
    box.unwoken = false;
  }
  for (const Letter& letter : letters) Give(worker, letter);
}

void Tracking::Give(net::Worker& worker, const Letter& letter) {
  using Kind = Letter::Kind;
  if (letter.kind == Kind::kEveryone) {
    for (Session* const session : sessions_[worker.index()]) Tell(worker, *session, nullptr);
    return;
  }
  if (letter.kind == Kind::kRedirected) return TellRedirected(worker, letter.to, letter.from, letter.body);
  // It may be gone, or want something else by now.
  net::Connection* const connection = worker.Find(IdOf(letter.to));
  if (connection == nullptr) return;
  Session& session = Session::Of(*connection);
  if (session.tracking == nullptr) return;
  if (letter.kind == Kind::kBroken) {
    if (session.tracking->redirect == letter.from) NoteBroken(session);
    return;
  }
  if (session.tracking->broadcast != (letter.kind == Kind::kBroadcast)) return;
  if (session.tracking->no_loop && letter.from == letter.to) return;
  Tell(worker, session, letter.body);
}

void Tracking::Tell(net::Worker& worker, Session& session, const Body& body) {
  const ClientRef redirect = session.tracking->redirect;
  if (redirect != 0) {
    if (WorkerOf(redirect) == worker.index()) return TellRedirected(worker, redirect, RefOf(session), body);
    return Put(WorkerOf(redirect), {Letter::Kind::kRedirected, redirect, RefOf(session), body});
  }
  // RESP2 has no way to say it.
  if (session.protocol.load(std::memory_order_relaxed) != 3) return;
  session.connection.Push('>', kInvalidate, body != nullptr ? body : Everything(3));
}

void Tracking::TellRedirected(net::Worker& worker, ClientRef to, ClientRef from, const Body& body) {
  net::Connection* const connection = worker.Find(IdOf(to));
  if (connection == nullptr) return Put(WorkerOf(from), {Letter::Kind::kBroken, from, to});
  Session& session = Session::Of(*connection);
  const int protocol = session.protocol.load(std::memory_order_relaxed);
  const Body& said = body != nullptr ? body : Everything(protocol);
  if (protocol == 3) {
    connection->Push('>', kInvalidate, said);
  } else if (session.subscribed()) {
    connection->Push('*', kInvalidateMessage, said);
  }
}

void Tracking::NoteBroken(Session& session) {
  session.redirect_broken.store(true, std::memory_order_relaxed);
  if (session.protocol.load(std::memory_order_relaxed) != 3) return;
  const auto id = std::to_string(IdOf(session.tracking->redirect));
  session.connection.Push('>', "2\r\n$21\r\ntracking-redir-broken\r\n",
                          std::make_shared<const std::string>(":" + id + "\r\n"));
}

void Tracking::AfterCommand(net::Worker& worker, bool may_lock) {
  if (may_lock && Excess() > 0) Tidy();
  bool mail;
  {
    Mailbox& box = mailboxes_[worker.index()];
    std::lock_guard lock(box.mutex);
    mail = !box.letters.empty();
  }
  if (mail) Hand(worker);
}

}  // namespace understudy::command
