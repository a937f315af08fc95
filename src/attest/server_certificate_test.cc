// SPDX-License-Identifier: Apache-2.0
#include "attest/server_certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attestation/openssl.h"
#include "base/bytes.h"
#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::attest {
namespace {

using namespace std::chrono_literals;
using attestation::OpensslPtr;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();

OpensslPtr<X509, X509_free> certificate(const std::filesystem::path& file) {
  const std::string pem = base::read_text(file, 1 << 20).value();
  OpensslPtr<BIO, BIO_free_all> bio(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return OpensslPtr<X509, X509_free>(::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

class ServerCertificateTest : public testing::Test {
 protected:
  ServerCertificate open(std::vector<std::string> names = {"attest.bank.svc", "attest.bank"}) const {
    return ServerCertificate::open(folder_.path() / "keys", std::move(names)).value();
  }
  // What a client says that trusts the authority and asks for this name.
  static bool is_trusted(const ServerCertificate& server, const std::string& name, Time at) {
    const auto authority = certificate(server.authority()), leaf = certificate(server.certificate());
    OpensslPtr<X509_STORE, X509_STORE_free> store(::X509_STORE_new());
    ::X509_STORE_add_cert(store.get(), authority.get());
    OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(::X509_STORE_CTX_new());
    ::X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
    ::X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
    ::X509_VERIFY_PARAM_set1_host(::X509_STORE_CTX_get0_param(context.get()), name.c_str(), name.size());
    ::X509_VERIFY_PARAM_set_time(::X509_STORE_CTX_get0_param(context.get()),
                                 static_cast<std::time_t>(at.time_since_epoch().count()));
    return ::X509_verify_cert(context.get()) == 1;
  }
  static std::string text(const std::filesystem::path& file) { return base::read_text(file, 1 << 20).value(); }

  fake::TempFolder folder_;
};

TEST_F(ServerCertificateTest, client_that_trusts_the_authority_accepts_it_for_its_names_alone) {
  const auto server = open();
  ASSERT_TRUE(server.renew(kNow));
  EXPECT_TRUE(is_trusted(server, "attest.bank.svc", kNow));
  EXPECT_TRUE(is_trusted(server, "attest.bank", kNow));
  EXPECT_FALSE(is_trusted(server, "kubernetes.default.svc", kNow));
  EXPECT_FALSE(is_trusted(server, "attest.bank.svc", kNow + ServerCertificate::kLife + 1h));
  for (const auto& file : {server.certificate(), server.key(), server.authority()})
    EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600)) << file;
  // The authority can sign for these names and no others.
  OpensslPtr<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free> limits(static_cast<NAME_CONSTRAINTS*>(
      ::X509_get_ext_d2i(certificate(server.authority()).get(), NID_name_constraints, nullptr, nullptr)));
  ASSERT_TRUE(limits);
  EXPECT_EQ(sk_GENERAL_SUBTREE_num(limits->permittedSubtrees), 2);
}

TEST_F(ServerCertificateTest, it_stays_until_a_third_of_its_life_is_left_and_the_authority_stays_longer) {
  const auto server = open();
  ASSERT_TRUE(server.renew(kNow));
  const std::string first = text(server.certificate()), authority = text(server.authority());
  ASSERT_TRUE(server.renew(kNow + std::chrono::days(60)));
  EXPECT_EQ(text(server.certificate()), first);
  const Time later = kNow + std::chrono::days(61);
  ASSERT_TRUE(server.renew(later));
  EXPECT_NE(text(server.certificate()), first);
  EXPECT_EQ(text(server.authority()), authority);
  EXPECT_TRUE(is_trusted(server, "attest.bank", later));
  const Time end = kNow + ServerCertificate::kAuthorityLife - std::chrono::days(80);
  ASSERT_TRUE(server.renew(end));
  EXPECT_NE(text(server.authority()), authority);
  EXPECT_TRUE(is_trusted(server, "attest.bank", end));
}

TEST_F(ServerCertificateTest, other_names_and_damaged_files_make_it_anew) {
  ASSERT_TRUE(open().renew(kNow));
  const std::string authority = text(open().authority());
  const auto other = open({"attest.bank.example"});
  ASSERT_TRUE(other.renew(kNow));
  EXPECT_TRUE(is_trusted(other, "attest.bank.example", kNow));
  EXPECT_FALSE(is_trusted(other, "attest.bank", kNow));
  EXPECT_NE(text(other.authority()), authority);
  for (const auto& file : {other.certificate(), other.key(), other.authority()}) {
    ASSERT_TRUE(base::write_file_atomic(file, base::as_bytes("-----BEGIN"), 0600));
    ASSERT_TRUE(other.renew(kNow)) << file;
    EXPECT_TRUE(is_trusted(other, "attest.bank.example", kNow)) << file;
  }
}

TEST_F(ServerCertificateTest, names_are_dns_names) {
  for (const char* name : {"", "a b", "Attest", "*.bank", "a,DNS:evil", "..", ".a", "a.", "127.0.0.1", "7"})
    EXPECT_FALSE(ServerCertificate::open(folder_.path(), {name})) << name;
  EXPECT_FALSE(ServerCertificate::open(folder_.path(), {}));
  EXPECT_FALSE(ServerCertificate::open(folder_.path(), std::vector<std::string>(17, "a")));
  // A subject has 64 characters at most, and names of Services can be longer.
  const std::string longest = std::string(60, 'a') + "." + std::string(60, 'b');
  const auto server = ServerCertificate::open(folder_.path() / "long", {longest});
  ASSERT_TRUE(server->renew(kNow));
  EXPECT_TRUE(is_trusted(*server, longest, kNow));
}

}  // namespace
}  // namespace enclayer::attest
