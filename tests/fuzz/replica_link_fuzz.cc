// A primary against a replica that sends anything after PSYNC.
#include <sys/socket.h>
#include <unistd.h>

#include "node/replication/replica_link.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::replication;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  Log log(std::string(40, 'a'), 1 << 20);
  log.Activate(std::string(40, 'a'));
  log.SetWritable(true);
  const std::string_view words[] = {"SET", "key", "value"};
  const Record record{0, words};
  log.Append({&record, 1});

  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  MonoTime now{1'000'000'000};
  // Some of it was read together with PSYNC.
  const std::string leftover(in.Bytes(how >> 2));
  {
    ReplicaLink link(ends[0], leftover, {.capa_psync2 = (how & 1) != 0}, now);
    if ((how & 2) != 0) {
      link.StartPartial(log.history().replid, log.ReadFrom(log.first()));
    } else {
      link.WaitForCopy(true, 17);
    }
    Status status;
    while (!in.empty() && status.ok()) {
      const std::string_view piece = in.Bytes(in.Byte() + size_t{1});
      CHECK(send(ends[1], piece.data(), piece.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(piece.size()));
      now = now + Milliseconds(500);
      status = link.Read(now);
      if (status.ok()) status = link.Send(now, nullptr);
      if (status.ok()) status = link.Tick(now, {});
      CHECK(link.acked() <= log.end());
      char buffer[4096];
      while (recv(ends[1], buffer, sizeof buffer, 0) > 0) {
      }
    }
    CHECK(status.ok() || !status.message().empty());
  }
  close(ends[1]);
  return 0;
}
