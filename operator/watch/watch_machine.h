// What to do next in following one collection of the API server: pure, `Step(input, now, jitter)`.
//
// Idea, as in client-go's reflector: get the whole state, then follow the changes from its version.
//
//                 end bookmark                      end, silence, cut, 429, 5xx
//   kWatchList ----------------> kWatch <--------------------------------------- (again from the
//   last
//      |  ^                        |  410, or the same 5xx again and again         version, no new
//      list) |  +------------------------+ | anything but "not now"    ^ v | last page
//    kList ------------------------+          "not now" and repeated failures go through kWait
//
// - First a watch that sends the initial state itself (sendInitialEvents); a server that can't is
// listed in
//   pages of 500, and once more whole if a page has expired meanwhile.
// - Both ask without a resourceVersion, that is for a consistent read. client-go reads from the
// watch cache
//   (version 0), which may go back in time after a restart; FAILOVER.md section 5 forbids acting on
//   that, and it also rules out the answers "too large resource version" and 410 to a list.
// - State is staged and put in force at once, so that a cut during the initial state shows nobody
// half of it.
// - The version to go on from comes from each event, bookmarks too, once the initial state is in
// force.
// - A server that declines or is not there is asked again after a growing, jittered pause, for
// changes and
//   not for the whole state: a list of everything by everybody is what an overloaded server needs
//   least.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "common/clock.h"
#include "common/result.h"
#include "operator/kube/transport.h"

namespace understudy::watch {

struct WatchTiming {
  Duration first_pause = Milliseconds(800);  // doubled each time
  Duration longest_pause = Seconds(30);
  Duration healthy_after = Seconds(120);  // without a failure: start from first_pause again
  Duration very_short = Seconds(1);       // a stream that ends sooner counts as a failure
  Duration resync_gap = Seconds(10);      // a 410 sooner after the last full state does, too
};

inline constexpr int kPageSize = 500;
inline constexpr int kMaxRewatchFailures = 5;

// Inputs. Views are valid during Step only.
struct Started {};
struct PauseOver {};
struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kAdded;
  std::string_view resource_version;
  bool initial_events_end = false;  // bookmarks: annotation k8s.io/initial-events-end
  int error_code = 0;               // kError: the metav1.Status' code
  Duration retry_after{};           // kError: its details.retryAfterSeconds
};
struct StreamOver {
  kube::StreamEnd::Cause cause = kube::StreamEnd::Cause::kEof;
  int http_status = 0;
  Duration retry_after{};
  Duration lasted{};
};
struct PageListed {
  std::string_view resource_version;
  std::string_view continue_token;  // empty: the last one
};
struct ListFailed {
  Code code = Code::kUnavailable;  // the Client has already waited for a Retry-After
};
using WatchInput = std::variant<Started, PauseOver, WatchEvent, StreamOver, PageListed, ListFailed>;

// What the driver does with the object, or the page of objects, that came with the input.
enum class StoreOp { kNone, kStage, kUnstage, kUpsert, kRemove };

// What the driver does after that.
enum class WatchCommand {
  kNone,         // go on reading
  kOpenStream,   // GET with `query`
  kCloseStream,  // end the stream; StreamOver follows
  kList,         // GET a page: `limit`, `continue_token`
  kPause,        // for `pause`, then PauseOver
};

struct WatchOutput {
  StoreOp op = StoreOp::kNone;
  bool commit = false;        // after op: what is staged replaces everything, at resource_version
  bool clear_staged = false;  // before command: a new initial state begins
  std::string resource_version;  // the store is now known to be at least this new; empty: no news
  WatchCommand command = WatchCommand::kNone;
  std::string query;
  int limit = 0;  // 0: none
  std::string continue_token;
  Duration pause{};
};

class WatchMachine {
 public:
  explicit WatchMachine(WatchTiming timing = {}) : timing_(timing) {}

  // now: the time of the input. jitter: uniform in [0, 1).
  WatchOutput Step(const WatchInput& input, MonoTime now, double jitter);

  // The version from which changes are followed; empty before the first full state.
  const std::string& resource_version() const { return resource_version_; }

 private:
  enum class State { kIdle, kWatchList, kList, kWatch, kPause };

  WatchOutput OnEvent(const WatchEvent& event, MonoTime now);
  WatchOutput OnInitialEvent(const WatchEvent& event, MonoTime now);
  WatchOutput OnStreamOver(StreamOver over, MonoTime now, double jitter);
  WatchOutput OnInitialStreamOver(const StreamOver& over, MonoTime now, double jitter);
  WatchOutput OnPage(const PageListed& page, MonoTime now, double jitter);
  WatchOutput OnListFailed(const ListFailed& failed, MonoTime now, double jitter);

  WatchOutput Enter(State state, double jitter);
  WatchOutput PauseThen(State next, Duration at_least, MonoTime now, double jitter);

  WatchTiming timing_;
  State state_ = State::kIdle;
  State after_pause_ = State::kWatchList;
  std::string resource_version_;
  bool whole_list_ = false;  // kList: without pages, because one expired
  // kError of the current stream, taken into account when it is over.
  int stream_error_ = 0;
  Duration stream_error_retry_{};
  MonoTime committed_at_;
  MonoTime failed_at_;
  int failures_ = 0;         // pauses in a row
  int refused_watches_ = 0;  // 5xx in a row while following
};

}  // namespace understudy::watch
