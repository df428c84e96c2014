#include "node/command/monitors.h"

#include <cstdio>
#include <ctime>
#include <utility>

#include "common/log.h"
#include "node/command/session.h"
#include "node/net/worker.h"

namespace understudy::command {
namespace {

// In quotes, with what can't be printed as C writes it.
void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text) {
    switch (c) {
      case '\\':
      case '"':
        out->append(1, '\\').append(1, c);
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      case '\a':
        *out += "\\a";
        break;
      case '\b':
        *out += "\\b";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          *out += c;
        } else {
          char hex[8];
          std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
          *out += hex;
        }
    }
  }
  *out += '"';
}

}  // namespace

Monitors::Monitors(uint32_t workers) : mailboxes_(workers), sessions_(workers) {}

void Monitors::Add(Session& session) {
  const uint32_t worker = session.connection.worker().index();
  if (!sessions_[worker].insert(&session).second) return;
  session.monitors.store(true, std::memory_order_relaxed);
  session.NoteWay();
  {
    std::lock_guard lock(mailboxes_[worker].mutex);
    ++mailboxes_[worker].clients;
  }
  count_.fetch_add(1);
}

void Monitors::Remove(Session& session) {
  const uint32_t worker = session.connection.worker().index();
  if (sessions_[worker].erase(&session) == 0) return;
  session.monitors.store(false, std::memory_order_relaxed);
  session.NoteWay();
  {
    std::lock_guard lock(mailboxes_[worker].mutex);
    --mailboxes_[worker].clients;
  }
  count_.fetch_sub(1);
}

void Monitors::Show(int db, std::string_view source, std::span<const std::string_view> args) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  char head[64];
  std::snprintf(head, sizeof(head), "%lld.%06ld [%d ", static_cast<long long>(now.tv_sec), now.tv_nsec / 1000, db);
  std::string text(head);
  text.append(source).append("]");
  for (const std::string_view arg : args) {
    text += ' ';
    AppendQuoted(arg, &text);
  }
  text += "\r\n";
  const auto line = std::make_shared<const std::string>(std::move(text));
  for (Mailbox& box : mailboxes_) {
    std::lock_guard lock(box.mutex);
    if (box.clients == 0 || box.overrun) continue;
    box.unwoken = true;
    box.bytes += line->size() + sizeof(Line);
    if (box.bytes <= kMostBytes) {
      box.lines.push_back(line);
    } else {
      box.overrun = true;
      box.lines.clear();
    }
  }
  stirred_.store(true, std::memory_order_release);
}

void Monitors::WakeAll(std::span<net::Worker* const> workers) {
  stirred_.store(false);
  for (net::Worker* worker : workers) {
    Mailbox& box = mailboxes_[worker->index()];
    {
      std::lock_guard lock(box.mutex);
      if (!std::exchange(box.unwoken, false)) continue;
    }
    if (worker->OnOwnThread()) {
      Hand(worker->index());
    } else {
      worker->Post([this, worker] { Hand(worker->index()); });
    }
  }
}

void Monitors::Hand(uint32_t worker) {
  Mailbox& box = mailboxes_[worker];
  std::vector<Line> lines;
  bool overrun;
  {
    std::lock_guard lock(box.mutex);
    lines.swap(box.lines);
    box.bytes = 0;
    overrun = std::exchange(box.overrun, false);
  }
  for (Session* const session : sessions_[worker]) {
    if (overrun) {
      LOG_WARN("client {} closed: it monitors, and is too slow for that", session->connection.peer_address());
      session->connection.Close();
    }
    for (const Line& line : lines) session->connection.Push('+', "", line);
  }
}

}  // namespace understudy::command
