// The lines of the replication handshake, either way; and what a primary makes of what it is asked.
#include "node/replication/hello.h"
#include "node/replication/resync_rules.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::replication {
namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

void AnswerToPsync(std::string_view line) {
  const Result<PsyncAnswer> answer = ParsePsyncAnswer(line);
  if (!answer.ok()) {
    CHECK(answer.status().code() == Code::kInternal);
    return;
  }
  if (answer->kind == PsyncAnswer::Kind::kContinue)
    CHECK(answer->replid.empty() || IsReplid(answer->replid));
  if (answer->kind != PsyncAnswer::Kind::kFullCopy) return;
  CHECK(IsReplid(answer->replid));
  const std::string again =
      FormatFullResync(answer->replid, answer->offset, true, answer->beside, answer->parted_at);
  const Result<PsyncAnswer> second = ParsePsyncAnswer(again);
  CHECK(second.ok() && second->kind == answer->kind && second->replid == answer->replid &&
        second->offset == answer->offset && second->beside == answer->beside &&
        second->parted_at == answer->parted_at);
}

void AnswerToHello(std::string_view line) {
  const Result<HelloAnswer> answer = ParseHelloAnswer(line);
  if (!answer.ok()) return;
  Hello hello{"group", answer->epoch, "replica", std::string(32, 'a'), ""};
  SignHello(kKey, &hello);
  CHECK(VerifyHello(kKey, hello));
  // Nobody knows the key but who made the line below.
  CHECK(!VerifyHelloAnswer(kKey, hello, *answer));
  const std::string ours = FormatHelloAnswer(kKey, hello, answer->incarnation);
  const Result<HelloAnswer> again = ParseHelloAnswer("+" + ours);
  CHECK(again.ok() && again->epoch == answer->epoch && again->incarnation == answer->incarnation);
  CHECK(VerifyHelloAnswer(kKey, hello, *again));
  hello.mac = answer->mac;
  CHECK(!VerifyHello(kKey, hello));
}

void Psync(fuzz::Input& in) {
  LogView log;
  log.active = (in.Byte() & 1) != 0;
  log.first = in.Number(8);
  log.end = std::max(in.Number(8), log.first);
  log.history.replid = std::string(40, 'a');
  const auto wanted = static_cast<int64_t>(in.Number(8));
  const std::string_view replid = in.Line();
  for (const std::string_view id : {replid, std::string_view(log.history.replid)}) {
    const ResyncDecision decision = DecideResync(log, id, wanted);
    if (decision.partial) {
      CHECK(log.active && decision.position >= log.first && decision.position <= log.end);
    } else {
      CHECK(!decision.reason.empty());
    }
  }
  const int version = RdbVersionFor(false, in.Rest());
  CHECK(version == 9 || version == 11 || version == 80);
}

}  // namespace
}  // namespace understudy::replication

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy::replication;
  const std::string line(reinterpret_cast<const char*>(data), size);
  AnswerToPsync(line);
  AnswerToHello(line);
  understudy::fuzz::Input in(data, size);
  Psync(in);
  return 0;
}
