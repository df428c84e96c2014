// A replica's connection to its primary: connects, introduces itself, asks to go on (PSYNC), loads a full copy
// if it must, then applies the stream, and starts over when anything breaks.
//
//   kWaiting -> kConnecting -> kGreeting -> kAsking -> kStreaming          partial resynchronisation
//                                              `-> kDraining -> kHeader -> kLoading -> kStreaming
//
// Every failure closes the connection, says why in one line, and tries again after 100 ms to 2 s. What was not
// applied as a whole (a command, a transaction) is asked for again: the log's end is the position.
// Replication thread only; no call blocks. primary_link.cc: connection, introduction; primary_link_data.cc: full
// copy, stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/result.h"
#include "node/persist/loader.h"
#include "node/replication/apply_sink.h"
#include "node/replication/hello.h"
#include "node/replication/input_buffer.h"
#include "node/replication/log.h"
#include "node/replication/replication.h"
#include "node/replication/resync_rules.h"
#include "node/resp/parser.h"
#include "node/store/keyspace.h"

namespace understudy::replication {

// What this node holds; outlives the links.
struct DataState {
  std::string dataset;
  bool complete = false;         // a whole data set
  bool follows_log = false;      // the data is what the log's end says: a partial resynchronisation may be asked for
  bool loading = false;
  bool needs_full_copy = false;
  uint64_t dropped_bytes = 0;
};

class PrimaryLink {
 public:
  struct Target {
    std::string address;
    uint16_t port = 6379;
    // Own nodes; a foreign primary (--standalone) has no group.
    bool own = false;
    std::string group;
    uint64_t epoch = 0;
    control::Incarnation incarnation;
    std::string key;
    bool copy_only = false;
  };

  // What the link works with; all outlive it.
  struct Parts {
    Log& log;
    store::Keyspace& keyspace;
    ApplySink& sink;
    Hooks& hooks;
    const Clock& clock;
    const Settings& settings;
    DataState& data;
    int epoll;
    uint64_t epoll_tag;
    const control::Incarnation& incarnation;  // this node's
    uint16_t listening_port;
    const std::string& version;
    // Runs a task on the replication thread; any thread.
    std::function<void(std::function<void()>)> post;
    // Something that state() shows changed.
    std::function<void()> changed;
    // The replicas of this node can't go on with what they have.
    std::function<void(std::string_view why)> drop_replicas;
    // Frees a large keyspace without keeping this thread.
    std::function<void(std::unique_ptr<store::Keyspace>)> dispose;
  };

  PrimaryLink(Parts parts, Target target, MonoTime now);
  ~PrimaryLink();
  PrimaryLink(const PrimaryLink&) = delete;
  PrimaryLink& operator=(const PrimaryLink&) = delete;

  // The same primary in another epoch: goes on; the next handshake uses it.
  void Retarget(Target target, MonoTime now);
  // A higher epoch is known: no full copy may start.
  void ForbidLoading() { may_load_ = false; }
  void AllowLoading() { may_load_ = true; }

  // Closes the connection, if there is one, and starts over.
  void Reopen(std::string_view why, MonoTime now) {
    if (state_ != State::kWaiting) Fail(why, now);
  }

  void OnEvent(uint32_t events, MonoTime now);
  void Tick(MonoTime now);
  // When Tick has something to do that can't wait for the next tenth of a second.
  MonoTime NextDeadline() const;

  const Target& target() const { return target_; }
  control::LinkState link_state() const;
  bool up() const { return state_ == State::kStreaming; }
  MonoTime last_read() const { return last_read_; }
  MonoTime down_since() const { return down_since_; }
  const std::string& last_error() const { return last_error_; }
  uint64_t load_read_bytes() const { return loader_ ? loader_->bytes_read() : 0; }

 private:
  enum class State : uint8_t { kWaiting, kConnecting, kGreeting, kAsking, kDraining, kHeader, kLoading, kStreaming };
  enum class Expect : uint8_t { kPing, kAuth, kIgnored, kHello, kCopyOnly };

  void Connect(MonoTime now);
  void Fail(std::string_view why, MonoTime now);
  void Watch(bool read);
  void QueueCommand(std::initializer_list<std::string_view> argv);
  Status Flush();
  Status Read(MonoTime now, bool* more);
  Status Process(MonoTime now);
  // The next line of the input, without its end, or kNotFound.
  Result<std::string> TakeLine();

  Status OnGreetingLine(const std::string& line);
  void Introduce();
  void Ask();
  Status OnAnswer(const std::string& line, MonoTime now);
  Status BeginLoading(const PsyncAnswer& answer);
  void EmptyAndLoad();
  Status OnHeader(const std::string& line);
  Status Load(MonoTime now);
  Status FinishLoading(MonoTime now);
  void AbandonLoading();
  Status ApplyStream(MonoTime now);
  Status OnStreamCommand(std::string_view raw, MonoTime now);
  Status Apply(std::span<const Record> records, std::string_view raw);
  void StartStreaming(MonoTime now);
  void Acknowledge(MonoTime now);

  const Parts parts_;
  Target target_;
  State state_ = State::kWaiting;
  bool may_load_ = true;
  int fd_ = -1;
  bool watch_write_ = false;
  InputBuffer in_;
  std::string out_;
  size_t out_sent_ = 0;
  std::vector<Expect> expected_;  // answers still to come
  size_t answered_ = 0;
  Hello hello_;

  MonoTime retry_at_, attempt_at_, up_since_, last_read_, last_written_, down_since_;
  int failures_ = 0;              // in a row
  std::string last_error_;        // empty while the link is up
  std::string last_error_logged_;
  MonoTime last_error_logged_at_;

  // Full copy.
  PsyncAnswer copy_;
  std::unique_ptr<store::Keyspace> beside_;
  std::unique_ptr<persist::Loader> loader_;
  std::string end_mark_;          // $EOF: form, else empty
  uint64_t left_bytes_ = 0;       // $<length> form

  // Stream. Offsets into in_.view() from its start.
  resp::Arguments arguments_;
  std::unique_ptr<resp::Partial> partial_;
  int db_ = 0;                    // selected in the stream, the open transaction included
  size_t parsed_ = 0;             // end of the last whole command
  bool in_transaction_ = false;
  struct Word {
    size_t offset, size;
  };
  struct Queued {
    int db;
    size_t first_word, words;
  };
  std::vector<Queued> queued_;    // of the open transaction
  std::vector<Word> queued_words_;
  bool acknowledge_ = false;
  MonoTime last_ack_;

  // Answers of DrainWorkers to a link that is gone are ignored.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace understudy::replication
