#include <boost/beast/http/buffer_body.hpp>
#include <cstdint>
#include <limits>

#include "common/log.h"
#include "operator/kube/beast_connection.h"
#include "operator/kube/tls_context.h"
#include "operator/kube/transport.h"

namespace understudy::kube {
namespace {

namespace http = boost::beast::http;
using Cause = StreamEnd::Cause;
using BodyParser = http::response_parser<http::buffer_body>;

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMaxErrorBodyBytes = 64 * 1024;

// Cuts a byte stream into lines; keeps only the unfinished one.
class LineSplitter {
 public:
  explicit LineSplitter(size_t max_bytes) : max_bytes_(max_bytes) {}

  // False: a line is longer than allowed.
  bool Feed(std::string_view bytes, LineSink& sink) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (pending_.size() + part.size() > max_bytes_) return false;
      if (end == std::string_view::npos) {
        pending_.append(part);
        return true;
      }
      if (pending_.empty()) {
        if (!part.empty()) sink.OnLine(part);
      } else {
        pending_.append(part);
        sink.OnLine(pending_);
        pending_.clear();
        if (pending_.capacity() > kReadBytes) pending_.shrink_to_fit();
      }
      bytes.remove_prefix(end + 1);
    }
    return true;
  }

 private:
  const size_t max_bytes_;
  std::string pending_;
};

class BeastStream final : public StreamTransport {
 public:
  explicit BeastStream(TransportContext context)
      : context_(std::move(context)), counter_(context_.registry) {}

  StreamEnd Stream(const Request& request, const StreamOptions& options, LineSink& sink,
                   std::stop_token stop) override {
    const std::string token = context_.credentials->Token();
    StreamEnd end = Once(request, token, options, sink, stop);
    if (end.cause == Cause::kHttpError && end.http_status == 401 &&
        context_.credentials->TokenRefused(token)) {
      end = Once(request, context_.credentials->Token(), options, sink, stop);
    }
    return end;
  }

 private:
  static StreamEnd Failed(const BeastConnection& connection, const Status& status,
                          std::stop_token stop) {
    StreamEnd end;
    end.message = std::string(status.message());
    if (stop.stop_requested()) {
      end = {.cause = Cause::kStopped};
    } else if (connection.Refused()) {
      end.cause = Cause::kRefused;
    } else {
      end.cause = Cause::kBroken;
    }
    return end;
  }

  StreamEnd Once(const Request& request, const std::string& token, const StreamOptions& options,
                 LineSink& sink, std::stop_token stop) {
    auto tls = tls_.Get(*context_.credentials);
    if (!tls.ok()) {
      return {.cause = Cause::kBroken, .message = std::string(tls.status().message())};
    }
    const Server& server = context_.credentials->server();
    BeastConnection connection(server, *tls);
    const auto message = BuildMessage(request, server, token, context_.user_agent);
    BodyParser parser;
    // Not boost::none: Boost 1.74 compares a Content-Length with it and refuses every such answer.
    parser.body_limit(std::numeric_limits<uint64_t>::max());
    parser.header_limit(64 * 1024);
    Status status = connection.Connect(options.connect_timeout, stop);
    if (status.ok()) status = connection.Write(message, options.connect_timeout, stop);
    if (status.ok()) status = connection.ReadHeader(parser, options.connect_timeout, stop);
    if (!status.ok()) {
      if (!stop.stop_requested()) counter_.Count(request.method, 0);
      return Failed(connection, status, stop);
    }
    const int http_status = static_cast<int>(parser.get().result_int());
    counter_.Count(request.method, http_status);
    if (http_status != 200) return ErrorAnswer(connection, parser, options, stop);
    sink.OnOpen();
    return ReadLines(connection, parser, options, sink, stop);
  }

  StreamEnd ReadLines(BeastConnection& connection, BodyParser& parser, const StreamOptions& options,
                      LineSink& sink, std::stop_token stop) {
    LineSplitter splitter(options.max_line_bytes);
    std::vector<char> bytes(kReadBytes);
    while (!parser.is_done()) {
      parser.get().body().data = bytes.data();
      parser.get().body().size = bytes.size();
      const Status status = connection.ReadSome(parser, options.max_silence, stop);
      const std::string_view read(bytes.data(), bytes.size() - parser.get().body().size);
      if (!splitter.Feed(read, sink)) {
        return {.cause = Cause::kMalformed,
                .message = fmt::format("a line of the stream is longer than {} bytes",
                                       options.max_line_bytes)};
      }
      if (status.ok()) continue;
      if (connection.TimedOut()) {
        return {.cause = Cause::kSilent,
                .message = fmt::format("nothing came for {} ms", options.max_silence.ms())};
      }
      return Failed(connection, status, stop);
    }
    return {.cause = Cause::kEof};
  }

  static StreamEnd ErrorAnswer(BeastConnection& connection, BodyParser& parser,
                               const StreamOptions& options, std::stop_token stop) {
    StreamEnd end;
    end.cause = Cause::kHttpError;
    end.http_status = static_cast<int>(parser.get().result_int());
    const auto retry_after = parser.get()[http::field::retry_after];
    end.retry_after = ParseRetryAfter({retry_after.data(), retry_after.size()});
    end.body.resize(kMaxErrorBodyBytes);
    parser.get().body().data = end.body.data();
    parser.get().body().size = end.body.size();
    while (!parser.is_done() && parser.get().body().size > 0) {
      if (!connection.ReadSome(parser, options.connect_timeout, stop).ok()) break;
    }
    end.body.resize(end.body.size() - parser.get().body().size);
    if (stop.stop_requested()) return {.cause = Cause::kStopped};
    end.message = fmt::format("answered {}", end.http_status);
    return end;
  }

  const TransportContext context_;
  RequestCounter counter_;
  TlsContextCache tls_;
};

}  // namespace

std::unique_ptr<StreamTransport> MakeBeastStream(TransportContext context) {
  return std::make_unique<BeastStream>(std::move(context));
}

}  // namespace understudy::kube
