// Certificates for tests, made when asked: an authority of its own, and certificates that it signs.
#pragma once

#include <memory>
#include <string>

namespace understudy::test {

struct PemPair {
  std::string certificate;
  std::string key;
};

class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();

  const std::string& certificate() const { return pem_.certificate; }
  // subject_alt_name: "IP:127.0.0.1" or "DNS:name,IP:::1"; empty: a client certificate.
  PemPair Issue(const std::string& common_name, const std::string& subject_alt_name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  PemPair pem_;
};

}  // namespace understudy::test
