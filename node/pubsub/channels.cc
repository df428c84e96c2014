#include "node/pubsub/channels.h"

#include <utility>

#include "common/check.h"
#include "node/resp/glob.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"

namespace understudy::pubsub {
namespace {

// Of a name and of a place, with the nodes of their maps; as large as they are about.
constexpr size_t kSubscriptionBytes = 192;
// Of a delivery, beside its bytes: one that is short takes time, too.
constexpr size_t kDeliveryBytes = 64;
constexpr size_t kKeptLetters = 4096;

// What comes before channel and message, without the type's character.
std::string HeadOf(Kind kind, std::string_view name) {
  if (kind == Kind::kChannel) return "3\r\n$7\r\nmessage\r\n";
  if (kind == Kind::kShardChannel) return "3\r\n$8\r\nsmessage\r\n";
  resp::StringOutput out;
  resp::Writer writer(out, 2);
  writer.Bulk(name);
  return "4\r\n$8\r\npmessage\r\n" + std::string(out.view());
}

std::shared_ptr<const std::string> Encode(std::string_view channel, std::string_view message) {
  auto body = std::make_shared<std::string>();
  body->reserve(channel.size() + message.size() + 52);
  const auto bulk = [&](std::string_view text) {
    char header[24] = {'$'};
    char* const end = resp::WriteInteger(header + 1, static_cast<int64_t>(text.size()));
    body->append(header, static_cast<size_t>(end - header)).append("\r\n").append(text).append("\r\n");
  };
  bulk(channel);
  bulk(message);
  return body;
}

}  // namespace

Subscriber::~Subscriber() {
  for (const auto& places : places_) CHECK(places.empty());
}

Channels::Channels(uint32_t workers) : workers_(workers), mailboxes_(workers), spares_(workers) {}

Channels::~Channels() = default;

bool Channels::Subscribe(Subscriber& subscriber, Kind kind, std::string_view name) {
  auto& places = subscriber.places_[static_cast<size_t>(kind)];
  if (places.find(name) != places.end()) return false;
  std::vector<Letter> letters;
  Listeners* listeners;
  {
    std::lock_guard lock(mutex_);
    letters = Take(subscriber.worker_);
    Directory& names = directory(kind);
    auto it = names.find(name);
    if (it == names.end()) it = names.emplace(std::string(name), Name{}).first;
    Name& entry = it->second;
    if (entry.of_worker.size() <= subscriber.worker_) entry.of_worker.resize(subscriber.worker_ + 1);
    std::unique_ptr<Listeners>& mine = entry.of_worker[subscriber.worker_];
    if (mine == nullptr) {
      mine = std::make_unique<Listeners>();
      mine->head = HeadOf(kind, name);
    }
    listeners = mine.get();
    ++listeners->count;
    ++entry.count;
    subscriptions_.store(subscriptions_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  HandOut(subscriber.worker_, std::move(letters));
  places.emplace(name, Subscriber::Place{listeners, listeners->subscribers.size()});
  listeners->subscribers.push_back(&subscriber);
  subscriber.memory_bytes_ += 2 * name.size() + kSubscriptionBytes;
  return true;
}

bool Channels::Unsubscribe(Subscriber& subscriber, Kind kind, std::string_view name) {
  auto& places = subscriber.places_[static_cast<size_t>(kind)];
  const auto place = places.find(name);
  if (place == places.end()) return false;
  Listeners* const listeners = place->second.listeners;
  std::unique_ptr<Listeners> silent;  // not listened to any more, still needed for its letters
  std::vector<Letter> letters;
  {
    std::lock_guard lock(mutex_);
    letters = Take(subscriber.worker_);
    Directory& names = directory(kind);
    const auto it = names.find(name);
    --it->second.count;
    if (--listeners->count == 0) silent = std::move(it->second.of_worker[subscriber.worker_]);
    if (it->second.count == 0) names.erase(it);
    subscriptions_.store(subscriptions_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }
  HandOut(subscriber.worker_, std::move(letters));
  // The last one takes its place.
  const size_t index = place->second.index;
  Subscriber* const last = listeners->subscribers.back();
  listeners->subscribers[index] = last;
  last->places_[static_cast<size_t>(kind)].find(name)->second.index = index;
  listeners->subscribers.pop_back();
  subscriber.memory_bytes_ -= 2 * name.size() + kSubscriptionBytes;
  places.erase(place);
  return true;
}

std::vector<std::string> Channels::NamesOf(const Subscriber& subscriber, Kind kind) {
  std::vector<std::string> names;
  for (const auto& [name, place] : subscriber.places_[static_cast<size_t>(kind)]) names.emplace_back(name);
  return names;
}

void Channels::RemoveAll(Subscriber& subscriber) {
  for (const Kind kind : {Kind::kChannel, Kind::kPattern, Kind::kShardChannel}) {
    for (const std::string& name : NamesOf(subscriber, kind)) Unsubscribe(subscriber, kind, name);
  }
}

// ---------------------------------------------------------------------------------------------- messages

size_t Channels::Publish(std::string_view channel, std::string_view message, bool sharded) {
  if (!Used()) return 0;
  const std::shared_ptr<const std::string> body = Encode(channel, message);
  size_t receivers = 0;
  std::lock_guard lock(mutex_);
  const Directory& names = directory(sharded ? Kind::kShardChannel : Kind::kChannel);
  if (const auto it = names.find(channel); it != names.end()) {
    Put(it->second, body);
    receivers += it->second.count;
  }
  if (sharded) return receivers;
  for (const auto& [pattern, name] : directory(Kind::kPattern)) {
    if (!resp::GlobMatch(pattern, channel)) continue;
    Put(name, body);
    receivers += name.count;
  }
  return receivers;
}

void Channels::Put(const Name& name, const std::shared_ptr<const std::string>& body) {
  for (size_t worker = 0; worker < name.of_worker.size(); ++worker) {
    Listeners* const listeners = name.of_worker[worker].get();
    if (listeners == nullptr) continue;
    Mailbox& mailbox = mailboxes_[worker];
    if (mailbox.letters.empty()) {
      mailbox.unwoken = true;
      unwoken_.store(true, std::memory_order_release);
    }
    const bool crowded = mailbox.output_bytes > kCrowdedBytes;
    mailbox.output_bytes += listeners->count * (body->size() + listeners->head.size() + kDeliveryBytes);
    if (!crowded && mailbox.output_bytes > kCrowdedBytes) crowded_.fetch_add(1, std::memory_order_relaxed);
    mailbox.letters.push_back({body, listeners});
  }
}

std::vector<Channels::Letter> Channels::Take(uint32_t worker) {
  Mailbox& mailbox = mailboxes_[worker];
  if (mailbox.letters.empty()) return {};
  if (mailbox.output_bytes > kCrowdedBytes) crowded_.fetch_sub(1, std::memory_order_relaxed);
  mailbox.output_bytes = 0;
  mailbox.unwoken = false;
  return std::exchange(mailbox.letters, std::move(spares_[worker]));
}

void Channels::HandOut(uint32_t worker, std::vector<Letter> letters) {
  if (letters.empty()) return;
  for (const Letter& letter : letters) {
    for (Subscriber* const subscriber : letter.to->subscribers) subscriber->OnMessage(letter.to->head, letter.body);
  }
  letters.clear();
  if (letters.capacity() <= kKeptLetters) spares_[worker] = std::move(letters);
}

void Channels::Hand(uint32_t worker) {
  std::vector<Letter> letters;
  {
    std::lock_guard lock(mutex_);
    letters = Take(worker);
  }
  HandOut(worker, std::move(letters));
}

void Channels::WakeAll() {
  std::vector<uint32_t> workers;
  {
    std::lock_guard lock(mutex_);
    unwoken_.store(false, std::memory_order_relaxed);
    for (uint32_t worker = 0; worker < workers_; ++worker) {
      if (std::exchange(mailboxes_[worker].unwoken, false)) workers.push_back(worker);
    }
  }
  for (const uint32_t worker : workers) wake_(worker);
}

// ---------------------------------------------------------------------------------------------- questions

std::vector<std::string> Channels::Names(Kind kind, std::optional<std::string_view> pattern) const {
  std::vector<std::string> names;
  std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : directory(kind)) {
    if (!pattern || resp::GlobMatch(*pattern, name)) names.push_back(name);
  }
  return names;
}

size_t Channels::CountNames(Kind kind) const {
  std::lock_guard lock(mutex_);
  return directory(kind).size();
}

size_t Channels::CountListeners(Kind kind, std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto it = directory(kind).find(name);
  return it == directory(kind).end() ? 0 : it->second.count;
}

}  // namespace understudy::pubsub
