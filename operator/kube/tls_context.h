// TLS client settings for the API server: our CA and no other, TLS 1.2 or later, the client
// certificate if there is one.
//
// A context is shared by all connections, since making one costs more than a handshake, and is
// rebuilt only when the files' contents changed. Any thread.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <utility>

#include "common/result.h"
#include "operator/kube/credentials.h"

namespace understudy::kube {

// kInvalid: the PEM texts can't be used; the sentence says which.
Status ConfigureTls(boost::asio::ssl::context& context, const TlsMaterial& material);

class TlsContextCache {
 public:
  // Null for a server without TLS.
  Result<std::shared_ptr<boost::asio::ssl::context>> Get(const Credentials& credentials);

 private:
  std::mutex mutex_;
  TlsMaterial material_;                                // mutex_
  std::shared_ptr<boost::asio::ssl::context> context_;  // mutex_
};

}  // namespace understudy::kube
