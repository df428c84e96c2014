#include "tests/support/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "common/check.h"

namespace understudy::test {
namespace {

struct Free {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free_all(p); }
};
using CertificatePtr = std::unique_ptr<X509, Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;
using BioPtr = std::unique_ptr<BIO, Free>;

KeyPtr NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  CHECK(key != nullptr);
  return key;
}

std::string Taken(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

PemPair ToPem(X509* certificate, EVP_PKEY* key) {
  BioPtr cert_out(BIO_new(BIO_s_mem())), key_out(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(cert_out.get(), certificate) == 1);
  CHECK(PEM_write_bio_PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return {Taken(cert_out.get()), Taken(key_out.get())};
}

void Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

CertificatePtr NewCertificate(const std::string& common_name, EVP_PKEY* key, X509* issuer) {
  CertificatePtr out(X509_new());
  CHECK(X509_set_version(out.get(), 2) == 1);
  uint64_t serial = 0;
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(out.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 24 * 3600);
  X509_NAME* name = X509_get_subject_name(out.get());
  CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                   -1, 0) == 1);
  X509_set_issuer_name(out.get(), issuer == nullptr ? name : X509_get_subject_name(issuer));
  X509_set_pubkey(out.get(), key);
  return out;
}

}  // namespace

struct TestAuthority::Impl {
  KeyPtr key = NewKey();
  CertificatePtr certificate;
};

TestAuthority::TestAuthority() : impl_(std::make_unique<Impl>()) {
  impl_->certificate = NewCertificate("test authority", impl_->key.get(), nullptr);
  X509* certificate = impl_->certificate.get();
  Extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  Extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  CHECK(X509_sign(certificate, impl_->key.get(), EVP_sha256()) > 0);
  pem_ = ToPem(certificate, impl_->key.get());
}

TestAuthority::~TestAuthority() = default;

PemPair TestAuthority::Issue(const std::string& common_name,
                             const std::string& subject_alt_name) const {
  const KeyPtr key = NewKey();
  const CertificatePtr certificate =
      NewCertificate(common_name, key.get(), impl_->certificate.get());
  if (!subject_alt_name.empty()) {
    Extend(certificate.get(), impl_->certificate.get(), NID_subject_alt_name, subject_alt_name);
  }
  CHECK(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) > 0);
  return ToPem(certificate.get(), key.get());
}

}  // namespace understudy::test
