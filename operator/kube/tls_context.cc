#include "operator/kube/tls_context.h"

#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <string>

namespace understudy::kube {

namespace ssl = boost::asio::ssl;

Status ConfigureTls(ssl::context& context, const TlsMaterial& material) {
  boost::system::error_code error;
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                          ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                          ssl::context::no_tlsv1_1,
                      error);
  if (error) return Invalid("TLS options: " + error.message());
  // A store of our own: whoever built the context may have put the system's authorities into it.
  SSL_CTX_set_cert_store(context.native_handle(), X509_STORE_new());
  context.add_certificate_authority(boost::asio::buffer(material.ca), error);
  if (error) return Invalid("the CA file holds no PEM certificate: " + error.message());
  context.set_verify_mode(ssl::verify_peer, error);
  if (error) return Invalid("TLS verification: " + error.message());
  if (material.certificate.empty()) return {};
  context.use_certificate_chain(boost::asio::buffer(material.certificate), error);
  if (error) return Invalid("the client certificate can't be used: " + error.message());
  context.use_private_key(boost::asio::buffer(material.key), ssl::context::pem, error);
  if (error) return Invalid("the key of the client certificate can't be used: " + error.message());
  return {};
}

Result<std::shared_ptr<ssl::context>> TlsContextCache::Get(const Credentials& credentials) {
  if (!credentials.server().tls) return std::shared_ptr<ssl::context>();
  auto material = credentials.ReadTls();
  std::lock_guard lock(mutex_);
  if (!material.ok()) {
    // A file that is being replaced: what worked goes on working.
    if (context_) return context_;
    return material.status();
  }
  if (context_ && material_ == *material) return context_;
  auto made = std::make_shared<ssl::context>(ssl::context::tls_client);
  if (Status status = ConfigureTls(*made, *material); !status.ok()) {
    if (context_) return context_;
    return status;
  }
  material_ = *std::move(material);
  context_ = made;
  return made;
}

}  // namespace understudy::kube
