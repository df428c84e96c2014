#include "tests/support/fake_api_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <sstream>
#include <utility>

#include "common/check.h"

namespace understudy::test {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Error = boost::system::error_code;
using Tcp = asio::ip::tcp;
using Action = Fault::Action;

std::string Decode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Target {
  ObjectName name;
  std::map<std::string, std::string> query;

  std::string Parameter(const char* key) const {
    const auto it = query.find(key);
    return it == query.end() ? "" : it->second;
  }
};

// False: not a path of an API server.
bool ParseTarget(const std::string& target, Target* out) {
  const size_t question = target.find('?');
  std::vector<std::string> parts;
  std::stringstream path(target.substr(0, question));
  for (std::string part; std::getline(path, part, '/');) {
    if (!part.empty()) parts.push_back(Decode(part));
  }
  if (question != std::string::npos) {
    std::stringstream query(target.substr(question + 1));
    for (std::string pair; std::getline(query, pair, '&');) {
      const size_t equals = pair.find('=');
      out->query[Decode(pair.substr(0, equals))] =
          equals == std::string::npos ? "" : Decode(pair.substr(equals + 1));
    }
  }
  const size_t head = !parts.empty() && parts[0] == "api" ? 2 : 3;
  if (parts.size() <= head || (parts[0] != "api" && parts[0] != "apis")) return false;
  size_t at = head;
  // "namespaces/x/pods" is a scope; "namespaces/x" and "namespaces/x/status" are an object.
  if (parts[at] == "namespaces" && parts.size() > at + 2 && parts[at + 2] != "status" &&
      parts[at + 2] != "finalize") {
    out->name.name_space = parts[at + 1];
    at += 2;
  }
  for (size_t i = 0; i < head; ++i) out->name.collection += "/" + parts[i];
  out->name.collection += "/" + parts[at];
  if (parts.size() > at + 1) out->name.name = parts[at + 1];
  if (parts.size() > at + 2) out->name.subresource = parts[at + 2];
  return true;
}

}  // namespace

struct FakeApiServer::Connection {
  int number = 0;
  asio::io_context context;
  std::optional<Tcp::socket> plain;
  std::unique_ptr<asio::ssl::context> tls_context;
  std::optional<asio::ssl::stream<Tcp::socket>> tls;
  std::atomic<bool> closing{false};
  std::atomic<bool> done{false};
  std::thread thread;

  Tcp::socket& socket() { return tls ? tls->next_layer() : *plain; }
  // From any thread: ends blocking calls on the socket.
  void Shut() {
    closing = true;
    ::shutdown(socket().native_handle(), SHUT_RDWR);
  }
};

// One connection's conversation, in its own thread.
class FakeApiServer::Session {
 public:
  Session(FakeApiServer& server, Connection& connection)
      : server_(server), connection_(connection) {}

  void Run() {
    Error error;
    if (connection_.tls) connection_.tls->handshake(asio::ssl::stream_base::server, error);
    while (!error && !connection_.closing) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(16 << 20);
      WithStream([&](auto& stream) { http::read(stream, buffer_, parser, error); });
      if (error || !Handle(parser.release())) break;
    }
    connection_.Shut();
  }

 private:
  using Message = http::request<http::string_body>;

  template <typename Use>
  void WithStream(Use use) {
    if (connection_.tls) {
      use(*connection_.tls);
    } else {
      use(*connection_.plain);
    }
  }

  bool Closing() const { return connection_.closing; }

  // False: close the connection.
  bool Handle(const Message& message) {
    SeenRequest seen{.method = std::string(message.method_string()),
                     .target = std::string(message.target()),
                     .body = message.body(),
                     .connection = connection_.number};
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      seen.headers[name] = std::string(field.value());
    }
    std::string token;
    {
      std::lock_guard lock(server_.mutex_);
      server_.requests_.push_back(seen);
      server_.seen_.notify_all();
      token = server_.token_;
    }
    if (!token.empty() && seen.headers["authorization"] != "Bearer " + token) {
      return Answer(FakeObjectStore::Failure(401, "Unauthorized", "Unauthorized"), {});
    }
    const auto fault = server_.TakeFault(seen.method, seen.target);
    if (fault) {
      if (fault->action == Action::kDropRequest) return false;
      if (fault->action == Action::kAnswer) {
        return Answer(FakeObjectStore::Failure(fault->status, fault->reason, "a fault of the test"),
                      fault->headers);
      }
      if (fault->action == Action::kHang) return Hang();
    }
    Target target;
    if (!ParseTarget(seen.target, &target)) {
      return Answer(FakeObjectStore::Failure(404, "NotFound", "no such path"), {});
    }
    const std::string watch = target.Parameter("watch");
    if (seen.method == "GET" && target.name.name.empty() && (watch == "1" || watch == "true")) {
      return Watch(target, fault);
    }
    const StoreAnswer answer = Execute(seen, target);
    if (fault && fault->action == Action::kDropReply) return false;
    return Answer(answer, {});
  }

  StoreAnswer Execute(const SeenRequest& request, const Target& target) {
    FakeObjectStore& store = server_.store_;
    const auto body = request.body.empty() ? Result<Json>(Json::object()) : ParseJson(request.body);
    if (!body.ok()) return FakeObjectStore::Failure(400, "BadRequest", body.status().ToString());
    const std::string manager = target.Parameter("fieldManager");
    if (target.name.name.empty()) {
      if (request.method == "POST" && !target.Parameter("dryRun").empty()) {
        auto name = target.name;
        name.name = JsonString(JsonAt(*body, "metadata"), "name");
        const bool taken = store.Get(name).status == 200;
        return taken ? FakeObjectStore::Failure(409, "AlreadyExists", name.name) : StoreAnswer{201, *body};
      }
      if (request.method == "POST") return store.Create(target.name, *body, manager);
      if (request.method != "GET") return FakeObjectStore::Failure(405, "MethodNotAllowed", "no");
      const std::string limit = target.Parameter("limit");
      return store.List(target.name.collection, target.name.name_space,
                        {.label_selector = target.Parameter("labelSelector"),
                         .field_selector = target.Parameter("fieldSelector"),
                         .resource_version = target.Parameter("resourceVersion"),
                         .continue_token = target.Parameter("continue"),
                         .limit = limit.empty() ? 0 : std::stoul(limit)});
    }
    if (request.method == "GET") return store.Get(target.name);
    if (request.method == "PUT") return store.Put(target.name, *body, manager);
    if (request.method == "DELETE") return store.Delete(target.name, *body);
    if (request.method == "PATCH") {
      const std::string& type = request.headers.at("content-type");
      if (type == "application/merge-patch+json")
        return store.MergePatch(target.name, *body, manager);
      if (type == "application/json-patch+json")
        return store.JsonPatch(target.name, *body, manager);
      if (type == "application/apply-patch+yaml") return store.Apply(target.name, *body, manager);
      return FakeObjectStore::Failure(415, "UnsupportedMediaType", type);
    }
    return FakeObjectStore::Failure(405, "MethodNotAllowed", request.method);
  }

  bool Answer(const StoreAnswer& answer, const std::map<std::string, std::string>& headers) {
    http::response<http::string_body> response(http::int_to_status(answer.status), 11);
    response.set(http::field::content_type, "application/json");
    for (const auto& [name, value] : headers) response.set(name, value);
    response.body() = answer.body.dump();
    response.prepare_payload();
    Error error;
    WithStream([&](auto& stream) { http::write(stream, response, error); });
    return !error;
  }

  bool Hang() {
    while (!PeerGone(1000)) {
    }
    return false;
  }

  // Waits up to timeout_ms for the end of the connection.
  bool PeerGone(int timeout_ms) {
    pollfd entry{.fd = connection_.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&entry, 1, timeout_ms) > 0 || Closing();
  }

  bool Write(const std::string& bytes) {
    Error error;
    WithStream([&](auto& stream) { asio::write(stream, asio::buffer(bytes), error); });
    return !error;
  }

  bool Chunk(const std::string& bytes) {
    std::ostringstream out;
    out << std::hex << bytes.size() << "\r\n" << bytes << "\r\n";
    return Write(out.str());
  }

  // Sends a line of the stream, as the fault has it. False: the stream is over.
  bool Line(const Json& line, const std::optional<Fault>& fault) {
    const std::string text = line.dump() + "\n";
    if (fault && lines_ >= fault->after_lines) {
      if (fault->action == Action::kCut) {
        (void)Chunk(text.substr(0, text.size() / 2));
        return false;
      }
      if (fault->action == Action::kEnd) {
        (void)Write("0\r\n\r\n");
        return false;
      }
      if (fault->action == Action::kInject && lines_ == fault->after_lines) {
        ++lines_;
        if (!Chunk(fault->line + "\n")) return false;
      }
    }
    ++lines_;
    return Chunk(text);
  }

  static Json Bookmark(int64_t version, bool initial_events_end) {
    Json metadata = {{"resourceVersion", std::to_string(version)}};
    if (initial_events_end) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
    return {{"type", "BOOKMARK"}, {"object", {{"metadata", metadata}}}};
  }

  // False when the connection is to be closed; a stream that ended properly leaves it open.
  bool Watch(const Target& target, const std::optional<Fault>& fault) {
    const std::string label_selector = target.Parameter("labelSelector");
    const std::string field_selector = target.Parameter("fieldSelector");
    const bool initial = target.Parameter("sendInitialEvents") == "true";
    const bool bookmarks = target.Parameter("allowWatchBookmarks") == "true";
    const std::string from = target.Parameter("resourceVersion");
    const std::string timeout = target.Parameter("timeoutSeconds");
    if (initial && !server_.watch_list_) {
      return Answer(FakeObjectStore::Failure(422, "Invalid", "sendInitialEvents: Forbidden"), {});
    }
    const auto ends = std::chrono::steady_clock::now() +
                      std::chrono::seconds(timeout.empty() ? 1800 : std::stol(timeout));
    const auto matches = [&](const Json& object) {
      const std::string name_space = JsonString(JsonAt(object, "metadata"), "namespace");
      return !object.is_null() &&
             (target.name.name_space.empty() || target.name.name_space == name_space) &&
             MatchesLabels(object, label_selector) && MatchesFields(object, field_selector);
    };
    if (!Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
               "Transfer-Encoding: chunked\r\n\r\n")) {
      return false;
    }
    lines_ = 0;
    if (fault && fault->action == Action::kSilent) return Hang();
    int64_t version = from.empty() || from == "0" ? 0 : std::stoll(from);
    if (initial || version == 0) {
      const StoreAnswer all = server_.store_.List(target.name.collection, target.name.name_space,
                                                  {.label_selector = label_selector,
                                                   .field_selector = field_selector,
                                                   .resource_version = from});
      if (all.status != 200) {
        (void)Chunk(Json({{"type", "ERROR"}, {"object", all.body}}).dump() + "\n");
        return Write("0\r\n\r\n");
      }
      for (const Json& item : all.body["items"]) {
        if (!Line({{"type", "ADDED"}, {"object", item}}, fault)) return false;
      }
      version = std::stoll(all.body["metadata"]["resourceVersion"].get<std::string>());
      if (initial && !Line(Bookmark(version, true), fault)) return false;
    }
    for (;;) {
      StoreEvent event;
      int64_t looked_at = version;
      const auto next = server_.store_.NextEvent(
          target.name.collection, version, server_.bookmark_interval_ms_, [&] { return Closing(); },
          &event, &looked_at);
      if (next == FakeObjectStore::Next::kExpired) {
        const Json gone = FakeObjectStore::Failure(410, "Expired", "too old resource version").body;
        (void)Chunk(Json({{"type", "ERROR"}, {"object", gone}}).dump() + "\n");
        return Write("0\r\n\r\n");
      }
      if (Closing()) return false;
      if (next == FakeObjectStore::Next::kNone) {
        if (PeerGone(0)) return false;
        if (std::chrono::steady_clock::now() >= ends) return Write("0\r\n\r\n");
        version = looked_at;
        if (bookmarks && !Line(Bookmark(version, false), fault)) return false;
        continue;
      }
      version = event.version;
      // A selector turns a change into an arrival or a departure.
      const bool now = event.type != "DELETED" && matches(event.object);
      const bool before = event.type != "ADDED" && matches(event.before);
      if (!now && !before) continue;
      const char* type = !now ? "DELETED" : !before ? "ADDED" : "MODIFIED";
      if (!Line({{"type", type}, {"object", event.object}}, fault)) return false;
    }
  }

  FakeApiServer& server_;
  Connection& connection_;
  boost::beast::flat_buffer buffer_;
  int lines_ = 0;  // sent in the current stream
};

FakeApiServer::FakeApiServer(Options options)
    : bookmark_interval_ms_(options.bookmark_interval_ms),
      watch_list_(options.watch_list),
      address_(options.address),
      tls_(std::move(options.tls)) {
  Listen();
}

FakeApiServer::~FakeApiServer() {
  StopListening();
  CloseConnections();
}

void FakeApiServer::Listen() {
  const asio::ip::address address = asio::ip::make_address(address_);
  const Tcp::endpoint endpoint(address, port_);
  const int fd = ::socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  const int one = 1;
  CHECK(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  CHECK(::bind(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
  CHECK(::listen(fd, 64) == 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
  port_ = ntohs(address.is_v6() ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  listener_ = fd;
  acceptor_ = std::thread([this] { Accept(); });
}

void FakeApiServer::StopListening() {
  const int fd = listener_.exchange(-1);
  if (fd < 0) return;
  ::shutdown(fd, SHUT_RDWR);
  acceptor_.join();
  ::close(fd);
}

void FakeApiServer::Accept() {
  const bool v6 = asio::ip::make_address(address_).is_v6();
  int number = 0;
  for (;;) {
    const int listener = listener_;
    if (listener < 0) return;
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    auto connection = std::make_unique<Connection>();
    connection->number = ++number;
    Tcp::socket socket(connection->context, v6 ? Tcp::v6() : Tcp::v4(), fd);
    socket.set_option(Tcp::no_delay(true));
    std::lock_guard lock(mutex_);
    if (tls_) {
      connection->tls_context =
          std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
      asio::ssl::context& tls = *connection->tls_context;
      tls.use_certificate_chain(asio::buffer(tls_->certificate_pem));
      tls.use_private_key(asio::buffer(tls_->key_pem), asio::ssl::context::pem);
      if (!tls_->client_ca_pem.empty()) {
        tls.add_certificate_authority(asio::buffer(tls_->client_ca_pem));
        tls.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
      }
      connection->tls.emplace(std::move(socket), tls);
    } else {
      connection->plain.emplace(std::move(socket));
    }
    connections_.remove_if([](const std::unique_ptr<Connection>& old) {
      if (!old->done) return false;
      old->thread.join();
      return true;
    });
    connection->thread = std::thread([this, raw = connection.get()] {
      Session(*this, *raw).Run();
      raw->done = true;
    });
    connections_.push_back(std::move(connection));
  }
}

void FakeApiServer::CloseConnections() {
  std::list<std::unique_ptr<Connection>> closing;
  {
    std::lock_guard lock(mutex_);
    closing.swap(connections_);
  }
  for (auto& connection : closing) connection->Shut();
  store_.Wake();
  for (auto& connection : closing) connection->thread.join();
}

void FakeApiServer::Pause() {
  StopListening();
  CloseConnections();
}

void FakeApiServer::Resume() {
  Listen();
}

void FakeApiServer::AddFault(Fault fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeApiServer::ClearFaults() {
  std::lock_guard lock(mutex_);
  faults_.clear();
}

void FakeApiServer::RequireToken(const std::string& token) {
  std::lock_guard lock(mutex_);
  token_ = token;
}

void FakeApiServer::SetTls(FakeServerTls tls) {
  std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
}

std::optional<Fault> FakeApiServer::TakeFault(const std::string& method,
                                              const std::string& target) {
  std::lock_guard lock(mutex_);
  for (Fault& fault : faults_) {
    if (fault.times <= 0 || (!fault.method.empty() && fault.method != method) ||
        target.find(fault.path) == std::string::npos) {
      continue;
    }
    --fault.times;
    return fault;
  }
  return std::nullopt;
}

std::vector<SeenRequest> FakeApiServer::Requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

int FakeApiServer::CountRequests(const std::string& method, const std::string& path) const {
  std::lock_guard lock(mutex_);
  int count = 0;
  for (const SeenRequest& request : requests_) {
    count += (method.empty() || request.method == method) &&
                     request.target.find(path) != std::string::npos
                 ? 1
                 : 0;
  }
  return count;
}

bool FakeApiServer::WaitForRequests(const std::string& method, const std::string& path,
                                    int count) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    if (CountRequests(method, path) >= count) return true;
    std::unique_lock lock(mutex_);
    if (std::chrono::steady_clock::now() >= until) return false;
    // A request between the count and this wait would go unseen: bounded by the short wait.
    seen_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

}  // namespace understudy::test
