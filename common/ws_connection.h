// One WebSocket connection, either end: the reading loop, the queue of writes, the ways to end.
// Used by common/ws_client.cc and common/http_server.cc only; others see ws::Channel.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/ws_client.h"

namespace understudy::ws {

class Connection final : public Client, public std::enable_shared_from_this<Connection> {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;

  // The client's end; Start() connects.
  Connection(boost::asio::io_context& io, const Clock& clock, Options options, Handlers handlers);
  void Start();

  // The server's end: a stream from which the upgrade request was read. Its executor must be a
  // strand. Address, port, path and connect_timeout of `options` are not used. Accept() answers the
  // request; on_open comes when that has been sent.
  Connection(boost::beast::tcp_stream stream, const Clock& clock, Options options,
             std::string peer_address);
  void Accept(Request request, Handlers handlers);

  void Send(std::string message) override;
  void Goodbye(std::string reason) override;
  void Close() override;
  size_t queued_bytes() const override { return queued_bytes_.load(std::memory_order_relaxed); }
  std::string peer_address() const override { return options_.address; }
  MonoTime begun_at() const override { return begun_at_; }

 private:
  // Keeps the connection alive while an operation is pending. When the io_context is destroyed the
  // operation is dropped without having run: then the handlers, which may hold this connection in
  // turn, have to go.
  class Pending {
   public:
    explicit Pending(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
    Pending(Pending&&) = default;
    ~Pending() {
      if (connection_) connection_->handlers_ = {};
    }
    std::shared_ptr<Connection> Take() { return std::move(connection_); }

   private:
    std::shared_ptr<Connection> connection_;
  };

  void DoConnect();
  void OnConnected();
  void OnUpgraded(boost::system::error_code error);
  void OnOpen();
  void SetOptions();
  void Read();
  void Write();
  void Finish(EndCause cause, std::string message);
  EndCause ConnectCause(boost::system::error_code error);
  boost::asio::ip::tcp::socket& socket() {
    return boost::beast::get_lowest_layer(stream_).socket();
  }

  boost::beast::websocket::stream<boost::beast::tcp_stream> stream_;
  Options options_;
  const MonoTime begun_at_;
  std::atomic<size_t> queued_bytes_{0};
  // The rest belongs to the strand.
  Handlers handlers_;
  boost::beast::websocket::response_type response_;
  Request request_;
  boost::beast::flat_buffer buffer_;
  std::deque<std::string> queue_;
  std::optional<std::string> goodbye_;
  bool open_ = false, writing_ = false, closing_ = false, ended_ = false;
};

}  // namespace understudy::ws
