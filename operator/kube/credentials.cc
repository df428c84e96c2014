#include "operator/kube/credentials.h"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "common/log.h"

namespace understudy::kube {
namespace {

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Unavailable("can't read " + path);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return Unavailable("can't read " + path);
  return text;
}

std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

std::string Server::Authority() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Credentials::Credentials(Server server, CredentialFiles files, const Clock& clock)
    : server_(std::move(server)), files_(std::move(files)), clock_(clock) {}

Result<std::shared_ptr<Credentials>> Credentials::Explicit(Server server, CredentialFiles files,
                                                           const Clock& clock) {
  if (server.host.empty())
    return Invalid("the API server's host is empty; give a name or an address");
  if (server.tls && files.ca_file.empty()) {
    return Invalid("TLS needs a CA file to check the API server with");
  }
  if (files.certificate_file.empty() != files.key_file.empty()) {
    return Invalid("a client certificate needs both its certificate file and its key file");
  }
  std::shared_ptr<Credentials> made(new Credentials(std::move(server), std::move(files), clock));
  if (auto tls = made->ReadTls(); !tls.ok()) return Invalid(std::string(tls.status().message()));
  if (!made->files_.token_file.empty() && made->Token().empty()) {
    return Invalid(made->files_.token_file + " holds no token");
  }
  return made;
}

Result<std::shared_ptr<Credentials>> Credentials::InCluster(
    const Clock& clock, const std::string& directory,
    const std::function<const char*(const char*)>& environment) {
  const auto get = [&](const char* name) -> std::string {
    const char* value = environment ? environment(name) : std::getenv(name);
    return value == nullptr ? "" : value;
  };
  Server server;
  server.host = get("KUBERNETES_SERVICE_HOST");
  const std::string port = get("KUBERNETES_SERVICE_PORT");
  if (server.host.empty() || port.empty()) {
    return Invalid(
        "not inside a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set");
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), server.port);
  if (error != std::errc() || end != port.data() + port.size() || server.port == 0) {
    return Invalid("KUBERNETES_SERVICE_PORT is '" + port + "'; it must be a port number");
  }
  if (server.host.find(':') != std::string::npos) server.host = "kubernetes.default.svc";
  CredentialFiles files;
  files.ca_file = directory + "/ca.crt";
  files.token_file = directory + "/token";
  const auto name_space = ReadFile(directory + "/namespace");
  if (!name_space.ok()) return Invalid(std::string(name_space.status().message()));
  files.name_space = Trimmed(*name_space);
  return Explicit(std::move(server), std::move(files), clock);
}

void Credentials::ReadTokenLocked() {
  token_read_at_ = clock_.Mono();
  const auto text = ReadFile(files_.token_file);
  const std::string token = text.ok() ? Trimmed(*text) : "";
  if (token.empty()) {
    LOG_WARN("{} holds no token now; going on with the last one", files_.token_file);
    return;
  }
  token_ = token;
}

std::string Credentials::Token() {
  if (files_.token_file.empty()) return "";
  std::lock_guard lock(mutex_);
  if (token_.empty() || clock_.Mono() - token_read_at_ >= kTokenMaxAge) ReadTokenLocked();
  return token_;
}

bool Credentials::TokenRefused(const std::string& token) {
  if (files_.token_file.empty()) return false;
  std::lock_guard lock(mutex_);
  if (token_ == token) ReadTokenLocked();
  return token_ != token;
}

Result<TlsMaterial> Credentials::ReadTls() const {
  TlsMaterial out;
  const std::pair<const std::string*, std::string*> wanted[] = {
      {&files_.ca_file, &out.ca},
      {&files_.certificate_file, &out.certificate},
      {&files_.key_file, &out.key},
  };
  for (const auto& [path, text] : wanted) {
    if (path->empty()) continue;
    auto read = ReadFile(*path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  return out;
}

}  // namespace understudy::kube
