// Where the API server is and how this process proves who it is.
//
// In a cluster: the service account's token, which the kubelet rotates in place, its CA and its
// namespace. Elsewhere (tests, development): a server, a CA file and a client certificate, given
// explicitly. Files are read anew when they may have changed: the token at most every 60 s and at
// once after the server refused it, CA and certificate for each new connection (their users rebuild
// their TLS state only on a change). Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/result.h"

namespace understudy::kube {

struct Server {
  bool tls = true;
  std::string host;  // a name or an IP literal, IPv6 without brackets
  uint16_t port = 443;

  // "host:port" as in a URL or a Host header.
  std::string Authority() const;
};

// PEM texts; empty where not configured.
struct TlsMaterial {
  std::string ca;
  std::string certificate;
  std::string key;
  bool operator==(const TlsMaterial&) const = default;
};

struct CredentialFiles {
  std::string ca_file;
  std::string certificate_file;  // with key_file: client certificate
  std::string key_file;
  std::string token_file;  // bearer token
  std::string name_space;
};

class Credentials {
 public:
  static constexpr Duration kTokenMaxAge = Seconds(60);

  // kInvalid when the files can't be used: TLS without a CA file, a certificate without its key.
  static Result<std::shared_ptr<Credentials>> Explicit(Server server, CredentialFiles files,
                                                       const Clock& clock);
  // From KUBERNETES_SERVICE_HOST and _PORT and the service account's files in `directory`. An IPv6
  // address of the service becomes the name kubernetes.default.svc, for cpprestsdk's sake.
  // kInvalid: not inside a cluster; the sentence names what is missing.
  static Result<std::shared_ptr<Credentials>> InCluster(
      const Clock& clock,
      const std::string& directory = "/var/run/secrets/kubernetes.io/serviceaccount",
      const std::function<const char*(const char*)>& environment = nullptr);

  const Server& server() const { return server_; }
  // The namespace this process runs in; empty if unknown.
  const std::string& name_space() const { return files_.name_space; }

  // The bearer token; empty: none. When its file can't be read the last good one goes on being
  // used.
  std::string Token();
  // The server answered 401 to `token`. True if another one is there now, so that repeating makes
  // sense.
  bool TokenRefused(const std::string& token);

  Result<TlsMaterial> ReadTls() const;

 private:
  Credentials(Server server, CredentialFiles files, const Clock& clock);
  void ReadTokenLocked();

  const Server server_;
  const CredentialFiles files_;
  const Clock& clock_;

  std::mutex mutex_;
  std::string token_;       // mutex_
  MonoTime token_read_at_;  // mutex_
};

}  // namespace understudy::kube
