#include "common/http_server.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <list>
#include <map>
#include <mutex>
#include <optional>

#include "common/log.h"
#include "common/ws_connection.h"

namespace understudy::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr uint64_t kMaxBodyBytes = 4096;  // of requests that have one: read, not used
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

std::chrono::nanoseconds Chrono(Duration duration) {
  return std::chrono::nanoseconds(duration.ns);
}

}  // namespace

class Server::Impl : public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(asio::io_context& io, const Clock& clock, ServerOptions options)
      : io_(io),
        clock_(clock),
        options_(std::move(options)),
        acceptor_(asio::make_strand(io)),
        pause_(acceptor_.get_executor()) {}

  struct Upgrade {
    ws::Options options;
    UpgradeHandler handler;
  };

  std::map<std::string, Handler, std::less<>> routes;    // constant after Listen()
  std::map<std::string, Upgrade, std::less<>> upgrades;  // constant after Listen()

  Status Listen();
  uint16_t port() const { return port_; }
  void Close();

 private:
  class Session;

  Status Bind(const tcp::endpoint& endpoint, error_code* error);
  void Accept();
  void Add(tcp::socket socket);
  void Remove(const Session& session);
  void Used(const Session& session);

  asio::io_context& io_;
  const Clock& clock_;
  const ServerOptions options_;
  tcp::acceptor acceptor_;    // its strand
  asio::steady_timer pause_;  // its strand
  uint16_t port_ = 0;
  std::atomic<size_t> web_sockets_{0};

  std::mutex mutex_;
  bool closed_ = false;                         // mutex_
  std::list<std::weak_ptr<Session>> sessions_;  // mutex_; the one used longest ago first
  std::list<std::weak_ptr<Session>> ending_;    // mutex_; pushed out, but not gone yet
};

// One plain HTTP connection: read, answer, again; or handed on as a WebSocket.
class Server::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Impl> server, tcp::socket socket, std::string peer_address)
      : server_(std::move(server)),
        stream_(std::move(socket)),
        peer_address_(std::move(peer_address)) {}
  ~Session() { server_->Remove(*this); }

  // For the server's lists, under its mutex.
  std::list<std::weak_ptr<Session>>::iterator place;
  bool ending = false;

  void Start() {
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      self->Read(self->server_->options_.request_timeout);
    });
  }

  void Abort() {
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->stream_.close(); });
  }

 private:
  void Read(Duration timeout) {
    parser_.emplace();
    parser_->header_limit(server_->options_.max_header_bytes);
    parser_->body_limit(kMaxBodyBytes);
    stream_.expires_after(Chrono(timeout));
    beast::http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code e, size_t) { self->OnRequest(e); });
  }

  void OnRequest(error_code e) {
    if (e == beast::http::error::header_limit)
      return Refuse(431, "the header is larger than " +
                             std::to_string(server_->options_.max_header_bytes) + " bytes");
    if (e == beast::http::error::body_limit) return Refuse(413, "no request here has a body");
    if (e &&
        e.category() == beast::http::make_error_code(beast::http::error::bad_method).category() &&
        e != beast::http::error::end_of_stream && e != beast::http::error::partial_message)
      return Refuse(400, "not an HTTP/1.1 request: " + e.message());
    if (e) return stream_.close();
    server_->Used(*this);

    const std::string_view target(parser_->get().target().data(), parser_->get().target().size());
    const size_t mark = target.find('?');
    Request request{std::string(target.substr(0, mark)),
                    mark == std::string_view::npos ? "" : std::string(target.substr(mark + 1)),
                    peer_address_};
    if (beast::websocket::is_upgrade(parser_->get())) return OnUpgrade(request);
    if (parser_->get().method() != beast::http::verb::get)
      return Refuse(405, "only GET is allowed here");
    if (const auto route = server_->routes.find(request.path); route != server_->routes.end())
      return Answer(route->second(request));
    if (server_->upgrades.contains(request.path))
      return Answer({426, "text/plain; charset=utf-8", "this path takes WebSockets only\n"});
    Answer(
        {404, "text/plain; charset=utf-8", "no such path: " + request.path.substr(0, 100) + "\n"});
  }

  void OnUpgrade(const Request& request) {
    const auto route = server_->upgrades.find(request.path);
    if (route == server_->upgrades.end()) return Refuse(404, "no WebSocket at this path");
    if (buffer_.size() > 0)
      return Refuse(400, "frames before the answer to the upgrade are not allowed");
    if (server_->web_sockets_.fetch_add(1) >= server_->options_.max_web_sockets) {
      server_->web_sockets_.fetch_sub(1);
      return Refuse(503, "too many WebSockets are open");
    }
    stream_.expires_never();
    auto connection = std::make_shared<ws::Connection>(std::move(stream_), server_->clock_,
                                                       route->second.options, peer_address_);
    ws::Handlers handlers = route->second.handler(connection);
    handlers.on_end = [server = server_, on_end = std::move(handlers.on_end)](const ws::End& end) {
      server->web_sockets_.fetch_sub(1);
      if (on_end) on_end(end);
    };
    connection->Accept(parser_->release(), std::move(handlers));
  }

  void Refuse(int status, std::string text) {
    keep_alive_ = false;
    Answer({status, "text/plain; charset=utf-8", std::move(text) + "\n"});
  }

  void Answer(Response answer) {
    response_ = {};
    response_.version(11);
    response_.result(static_cast<unsigned>(answer.status));
    response_.set(beast::http::field::content_type, answer.content_type);
    if (answer.status == 405) response_.set(beast::http::field::allow, "GET");
    if (answer.status == 426) response_.set(beast::http::field::upgrade, "websocket");
    response_.body() = std::move(answer.body);
    response_.keep_alive(keep_alive_ && parser_->get().keep_alive());
    response_.prepare_payload();
    stream_.expires_after(Chrono(server_->options_.request_timeout));
    beast::http::async_write(stream_, response_, [self = shared_from_this()](error_code e, size_t) {
      if (e) return self->stream_.close();
      if (!self->response_.keep_alive()) return self->Drain();
      self->Read(self->server_->options_.idle_timeout);
    });
  }

  // Closing with unread bytes would send RST, which may overtake the answer: says FIN and waits for
  // theirs.
  void Drain() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(1));
    ReadRest();
  }

  void ReadRest() {
    rest_.resize(1024);
    stream_.async_read_some(asio::buffer(rest_),
                            [self = shared_from_this()](error_code e, size_t n) {
                              self->drained_ += n;
                              if (e || self->drained_ > 64 * 1024) return self->stream_.close();
                              self->ReadRest();
                            });
  }

  const std::shared_ptr<Impl> server_;
  beast::tcp_stream stream_;
  const std::string peer_address_;
  beast::flat_buffer buffer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  beast::http::response<beast::http::string_body> response_;
  std::vector<char> rest_;
  size_t drained_ = 0;
  bool keep_alive_ = true;
};

Status Server::Impl::Bind(const tcp::endpoint& endpoint, error_code* error) {
  const auto failed = [&](const char* what) {
    std::string message = std::string(what) + " " + endpoint.address().to_string() + " port " +
                          std::to_string(endpoint.port()) + ": ";
    message +=
        *error == asio::error::address_in_use ? "another process has this port" : error->message();
    error_code ignored;
    acceptor_.close(ignored);
    return Unavailable(std::move(message));
  };
  acceptor_.open(endpoint.protocol(), *error);
  if (*error) return failed("can't open a socket for");
  // Not SO_REUSEPORT: it lets connections of a process that ended be forgotten, never two listeners
  // share.
  acceptor_.set_option(tcp::acceptor::reuse_address(true), *error);
  if (*error) return failed("can't prepare a socket for");
  if (endpoint.protocol() == tcp::v6()) {
    acceptor_.set_option(asio::ip::v6_only(false), *error);
    if (*error) return failed("can't take IPv4 and IPv6 on");
  }
  acceptor_.bind(endpoint, *error);
  if (*error) return failed("can't bind to");
  acceptor_.listen(asio::socket_base::max_listen_connections, *error);
  if (*error) return failed("can't listen on");
  port_ = acceptor_.local_endpoint(*error).port();
  return {};
}

Status Server::Impl::Listen() {
  error_code error;
  if (!options_.address.empty()) {
    const auto address = asio::ip::make_address(options_.address, error);
    if (error) return Invalid("'" + options_.address + "' is not an IP address");
    RETURN_IF_ERROR(Bind({address, options_.port}, &error));
  } else if (Status both = Bind({tcp::v6(), options_.port}, &error); !both.ok()) {
    // Some machines have no IPv6.
    if (error != asio::error::address_family_not_supported &&
        error != boost::system::errc::address_not_available)
      return both;
    RETURN_IF_ERROR(Bind({tcp::v4(), options_.port}, &error));
  }
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->Accept(); });
  return {};
}

void Server::Impl::Accept() {
  if (!acceptor_.is_open()) return;
  // A strand for each connection.
  acceptor_.async_accept(asio::make_strand(io_),
                         [self = shared_from_this()](error_code e, tcp::socket socket) {
                           if (!self->acceptor_.is_open()) return;
                           if (!e) {
                             self->Add(std::move(socket));
                             return self->Accept();
                           }
                           if (e == asio::error::operation_aborted) return;
                           // Out of file descriptors, most likely: some will be free again.
                           LOG_WARN("admin port {}: accept: {}", self->port_, e.message());
                           self->pause_.expires_after(kAcceptPause);
                           self->pause_.async_wait([self](error_code waited) {
                             if (!waited) self->Accept();
                           });
                         });
}

void Server::Impl::Add(tcp::socket socket) {
  error_code error;
  const auto peer = socket.remote_endpoint(error);
  if (error) return;
  auto address = peer.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  auto session =
      std::make_shared<Session>(shared_from_this(), std::move(socket), address.to_string());
  std::shared_ptr<Session> oldest;
  {
    std::lock_guard lock(mutex_);
    sessions_.push_back(session);
    session->place = std::prev(sessions_.end());
    if (closed_) {
      oldest = session;
    } else if (sessions_.size() > options_.max_connections) {
      oldest = sessions_.front().lock();
      if (oldest) {
        oldest->ending = true;
        ending_.splice(ending_.end(), sessions_, oldest->place);
      }
    }
  }
  if (oldest != session) session->Start();
  if (oldest) oldest->Abort();
}

void Server::Impl::Remove(const Session& session) {
  std::lock_guard lock(mutex_);
  (session.ending ? ending_ : sessions_).erase(session.place);
}

void Server::Impl::Used(const Session& session) {
  std::lock_guard lock(mutex_);
  if (!session.ending) sessions_.splice(sessions_.end(), sessions_, session.place);
}

void Server::Impl::Close() {
  std::vector<std::shared_ptr<Session>> open;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& session : sessions_)
      if (auto alive = session.lock()) open.push_back(std::move(alive));
  }
  for (const auto& session : open) session->Abort();
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
  });
}

Server::Server(asio::io_context& io, const Clock& clock, ServerOptions options)
    : impl_(std::make_shared<Impl>(io, clock, std::move(options))) {}
Server::~Server() {
  impl_->Close();
}

void Server::Get(std::string path, Handler handler) {
  impl_->routes[std::move(path)] = std::move(handler);
}
void Server::WebSocket(std::string path, ws::Options options, UpgradeHandler handler) {
  impl_->upgrades[std::move(path)] = {std::move(options), std::move(handler)};
}
Status Server::Listen() {
  return impl_->Listen();
}
uint16_t Server::port() const {
  return impl_->port();
}
void Server::Close() {
  impl_->Close();
}

}  // namespace understudy::http
