// SPDX-License-Identifier: Apache-2.0
// `enclayer attest request`: a quote of the real quote helper, shown to the real attestation service.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "fake/http_service.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "fake/vault.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::Finished;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kSoon = 60s;  // a deadline, not a pause
constexpr char kIssuer[] = "http://127.0.0.1:8443/simulated";

json part(const std::string& token, std::size_t number) {
  std::size_t begin = 0;
  for (; number > 0; --number) begin = token.find('.', begin) + 1;
  return json::parse(
      base::as_text(attest::from_base64url(token.substr(begin, token.find('.', begin) - begin)).value()));
}

class AttestRequest : public testing::Test {
 protected:
  static Finished enclayer(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
    return fake::run(arguments, kSoon, {{"no_proxy", "127.0.0.0/8"}});
  }
  std::string path(const char* name) const { return folder_.path() / name; }

  void start(const std::string& policy, const std::vector<std::string>& more = {},
             const std::map<std::string, std::string>& environment = {}) {
    helper_ = std::make_unique<fake::Process>(
        std::vector<std::string>{ENCLAYER_BIN_DIR "/enclayer-quote-helper", "--platform", "sim", "--socket",
                                 path("aesm.socket"), "--state-dir", path("sim")});
    ASSERT_TRUE(helper_->wait_for_output(" serving ", kSoon)) << helper_->output();
    const Finished exported = enclayer({"sim", "export", "--state-dir", path("sim"), "--out", path("collateral.json"),
                                        "--root-ca-out", path("root.pem")});
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    folder_.write("policy.txt", policy);
    std::vector<std::string> argv = {ENCLAYER_BIN_DIR "/enclayer-attest",
                                     "--listen",
                                     "127.0.0.1:0",
                                     "--issuer",
                                     kIssuer,
                                     "--policy",
                                     path("policy.txt"),
                                     "--state-dir",
                                     path("state"),
                                     "--simulated-root",
                                     path("root.pem"),
                                     "--collateral",
                                     path("collateral.json"),
                                     "--audience",
                                     "vault",
                                     "--demand-nonce",
                                     "--metrics-listen",
                                     "127.0.0.1:0"};
    if (!tls_) argv.push_back("--plain-http");
    argv.insert(argv.end(), more.begin(), more.end());
    service_ = std::make_unique<fake::Process>(argv, environment);
    ASSERT_TRUE(service_->wait_for_output(" serving ", kSoon)) << service_->output();
    const std::string log = service_->output();
    const std::size_t at = log.find("address=", log.find(" serving ")) + 8;
    url_ = std::string(tls_ ? "https" : "http") + "://" + log.substr(at, log.find(' ', at) - at) + "/";
  }

  // Over TLS, with a secret "db-password" for the client who proves its certificate, which is in client.crt.
  void start_for_client(const std::string& stored, std::vector<std::string> more = {}) {
    tls_ = true;
    const auto ours = fake::make_tls_identity(), client = fake::make_tls_identity();
    folder_.write("ca.crt", ours.authority);
    folder_.write("tls.crt", ours.certificate);
    folder_.write("tls.key", ours.key);
    folder_.write("client-ca.crt", client.authority);
    folder_.write("client.crt", client.certificate);
    folder_.write("client.key", client.key);
    folder_.write("secrets/db-password", stored);
    folder_.write("policies/db-password.json", kPolicy);
    more.insert(more.end(), {"--tls-cert", path("tls.crt"), "--tls-key", path("tls.key"), "--client-ca",
                             path("client-ca.crt"), "--secrets-dir", path("secrets"), "--release-policies",
                             path("policies"), "--release-client", "CN=Test Service"});
    start("version=1.0; authorizationrules { => permit(); };", more);
  }
  std::vector<std::string> as_client(std::vector<std::string> more) const {
    more.insert(more.end(),
                {"--cacert", path("ca.crt"), "--client-cert", path("client.crt"), "--client-key", path("client.key")});
    return more;
  }

  inline static const std::string kPolicy =
      json{{"version", "1.0.0"},
           {"anyOf", {{{"authority", kIssuer}, {"allOf", {{{"claim", "x-ms-sgx-is-debuggable"}, {"equals", false}}}}}}}}
          .dump();
  Finished request(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"attest", "request", "--url", url_, "--socket", path("aesm.socket")};
    auto has = [&](const char* flag) { return std::find(more.begin(), more.end(), flag) != more.end(); };
    if (!has("--audience") && !has("--secret")) arguments.insert(arguments.end(), {"--audience", "vault"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return enclayer(arguments);
  }

  fake::TempFolder folder_;
  std::unique_ptr<fake::Process> helper_, service_;
  std::string url_;
  bool tls_ = false;
};

TEST_F(AttestRequest, gets_a_token_that_names_its_key_and_the_services_nonce) {
  start("version=1.0; authorizationrules { => permit(); };");
  const Finished got = request();
  ASSERT_EQ(got.exit_code, 0) << got.err << service_->output();
  const std::string token = got.out.substr(0, got.out.find('\n'));
  EXPECT_EQ(part(token, 0).at("alg"), "ES256");
  const json claims = part(token, 1);
  EXPECT_EQ(claims.at("iss"), kIssuer);
  EXPECT_EQ(claims.at("aud"), "vault");
  EXPECT_EQ(claims.at("x-enclayer-simulated"), true);
  EXPECT_EQ(claims.at("cnf").at("jwk").at("crv"), "P-256");
  EXPECT_EQ(claims.at("cnf").at("jwk").at("use"), "enc");
  EXPECT_FALSE(claims.at("eat_nonce").get<std::string>().empty());
}

TEST_F(AttestRequest, makes_a_key_for_each_token) {
  start("version=1.0; authorizationrules { => permit(); };");
  auto key = [&] {
    const Finished got = request();
    EXPECT_EQ(got.exit_code, 0) << got.err;
    return part(got.out, 1).at("cnf").at("jwk").at("x").get<std::string>();
  };
  EXPECT_NE(key(), key());
}

TEST_F(AttestRequest, writes_the_token_for_its_owner_alone) {
  start("version=1.0; authorizationrules { => permit(); };");
  const Finished got = request({"--out", path("token")});
  ASSERT_EQ(got.exit_code, 0) << got.err;
  EXPECT_THAT(got.out, IsEmpty());
  EXPECT_EQ(fs::status(path("token")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(part(base::read_text(path("token"), 1 << 16).value(), 1).at("aud"), "vault");
}

TEST_F(AttestRequest, says_why_the_service_refuses) {
  start("version=1.0;\nauthorizationrules { [type==\"x-enclayer-simulated\", value==true] => deny(); => permit(); };");
  const Finished denied = request();
  EXPECT_EQ(denied.exit_code, 3) << denied.err;
  EXPECT_THAT(denied.out, IsEmpty());
  EXPECT_THAT(denied.err, HasSubstr("line 2 of the policy denies"));
  const Finished unknown = request({"--audience", "nobody"});
  EXPECT_NE(unknown.exit_code, 0);
  EXPECT_THAT(unknown.err, HasSubstr("audience"));
}

TEST_F(AttestRequest, gets_a_secret_that_only_its_key_opens) {
  // An API server that knows one token, of a ServiceAccount.
  const auto tls = fake::make_tls_identity();
  fake::HttpService api(
      [](const fake::HttpRequest& asked) {
        const json spec = json::parse(asked.body).at("spec");
        json status = {{"authenticated", spec.at("token") == "backups"}, {"audiences", spec.at("audiences")}};
        status["user"]["username"] = "system:serviceaccount:bank:backup";
        return fake::http_answer(201, json{{"status", status}}.dump());
      },
      tls);
  folder_.write("account/token", "ours");
  folder_.write("account/ca.crt", tls.authority);
  folder_.write("secrets/db-password", "open sesame");
  folder_.write("secrets/unused", "no policy");
  folder_.write("policies/db-password.json", kPolicy);
  start("version=1.0; authorizationrules { => permit(); };",
        {"--secrets-dir", path("secrets"), "--release-policies", path("policies"), "--account-dir", path("account"),
         "--release-account", "bank/backup"},
        {{"KUBERNETES_SERVICE_HOST", "127.0.0.1"}, {"KUBERNETES_SERVICE_PORT", api.address().substr(10)}});
  folder_.write("token", "backups\n");
  folder_.write("stolen", "stolen\n");

  const Finished got = request({"--secret", "db-password", "--token-file", path("token")});
  ASSERT_EQ(got.exit_code, 0) << got.err << service_->output();
  EXPECT_EQ(got.out, "open sesame");
  EXPECT_THAT(service_->output(), testing::Not(HasSubstr("open sesame")));

  EXPECT_EQ(request({"--secret", "db-password", "--token-file", path("stolen")}).exit_code, 3);
  EXPECT_EQ(request({"--secret", "db-password"}).exit_code, 3);
  EXPECT_EQ(request({"--secret", "unused", "--token-file", path("token")}).exit_code, 3);
  EXPECT_EQ(request({"--secret", "../policy.txt", "--token-file", path("token")}).exit_code, 1);
}

TEST_F(AttestRequest, proves_who_asks_by_a_certificate) {
  start_for_client("open sesame");
  const Finished got = request(as_client({"--secret", "db-password"}));
  ASSERT_EQ(got.exit_code, 0) << got.err << service_->output();
  EXPECT_EQ(got.out, "open sesame");
  EXPECT_EQ(request({"--secret", "db-password", "--cacert", path("ca.crt")}).exit_code, 3) << "without a certificate";
  EXPECT_EQ(request({"--secret", "db-password", "--client-cert", path("client.crt")}).exit_code, 1)
      << "without its key";
  folder_.write("client.key", base::read_text(path("tls.key"), 1 << 16).value());
  const Finished other = request(as_client({"--secret", "db-password"}));
  EXPECT_EQ(other.exit_code, 2) << "another key";
  EXPECT_THAT(other.err, HasSubstr("no certificate with its private key"));
}

TEST_F(AttestRequest, goes_through_the_proxy_of_the_environment) {
  fake::HttpService proxy([](const fake::HttpRequest&) { return fake::http_answer(404, "no such host"); });
  auto through = [&](const char* variable) {
    return fake::run({ENCLAYER_BIN_DIR "/enclayer", "attest", "request", "--audience", "vault", "--url",
                      "http://attest.example", "--socket", path("aesm.socket")},
                     kSoon, {{variable, proxy.url()}});
  };
  EXPECT_EQ(through("http_proxy").exit_code, 4);
  EXPECT_EQ(through("all_proxy").exit_code, 4);
  EXPECT_THAT(proxy.requests(), testing::ElementsAre("http://attest.example/nonce", "http://attest.example/nonce"));
}

TEST_F(AttestRequest, gets_a_secret_that_vault_decrypts_and_is_told_when_vault_is_away) {
  const fake::Vault engine("hvs.ours", "transit/bank");
  std::atomic<bool> sealed = false;
  fake::HttpService vault([&](const fake::HttpRequest& asked) {
    return sealed ? fake::http_answer(503, R"({"errors":["Vault is sealed"]})") : engine.answer(asked);
  });
  folder_.write("vault-token", "hvs.ours\n");
  start_for_client(
      fake::Vault::sealed("db-password", "open sesame"),
      {"--vault-url", vault.url(), "--vault-key", "transit/bank", "--vault-token-file", path("vault-token")});
  const auto arguments = as_client({"--secret", "db-password", "--timeout", "1"});
  const Finished got = request(arguments);
  ASSERT_EQ(got.exit_code, 0) << got.err << service_->output();
  EXPECT_EQ(got.out, "open sesame");

  sealed = true;
  const Finished later = request(arguments);
  EXPECT_EQ(later.exit_code, 4) << later.err;
  EXPECT_THAT(later.err, HasSubstr("status 503: the secret cannot be had at the moment"));
  EXPECT_THAT(service_->output(), HasSubstr("Vault is sealed"));
  sealed = false;
  folder_.write("secrets/db-password", fake::Vault::sealed("another", "open sesame"));
  EXPECT_EQ(request(arguments).exit_code, 3) << "a ciphertext of another name";
  EXPECT_THAT(service_->output(),
              testing::AllOf(testing::Not(HasSubstr("open sesame")), testing::Not(HasSubstr("hvs."))));
}

// samples/attest-from-c, as an enclave of Gramine runs it: what stands in for /dev/attestation are pipes, and a quote helper
// behind them.
class FromC : public AttestRequest {
 protected:
  Finished run_sample(std::vector<std::string> arguments) {
    fs::create_directories(path("dev"));
    for (const char* name : {"user_report_data", "quote"})
      if (::mkfifo((folder_.path() / "dev" / name).c_str(), 0600) != 0 && errno != EEXIST) std::abort();
    std::vector<std::string> argv = {ENCLAYER_TEST_PROGRAMS "/attest-from-c", path("dev"), url_, path("ca.crt")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    fake::Process sample(argv);
    const std::string report_data = from_pipe("user_report_data", sample);
    if (!report_data.empty()) {
      const Finished made = enclayer({"quote", "--socket", path("aesm.socket"), "--report-data",
                                      base::to_hex(base::as_bytes(report_data)), "--out", path("quote.bin")});
      EXPECT_EQ(made.exit_code, 0) << made.err;
      std::ofstream(path("dev/quote"), std::ios::binary) << std::ifstream(path("quote.bin"), std::ios::binary).rdbuf();
    }
    Finished out;
    out.exit_code = sample.wait(kSoon).value_or(-1);
    out.out = sample.out();
    out.err = sample.err();
    return out;
  }

 private:
  // What is written into a pipe until it is closed; "" when the writer ends without.
  std::string from_pipe(const char* name, fake::Process& writer) const {
    const base::UniqueFd pipe(::open((folder_.path() / "dev" / name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    std::string out;
    pollfd readable{pipe.get(), POLLIN, 0};
    while (!writer.wait(0ms)) {
      if (::poll(&readable, 1, 50) <= 0) continue;
      std::array<char, 4096> part;
      const ssize_t size = ::read(pipe.get(), part.data(), part.size());
      if (size > 0) out.append(part.data(), static_cast<std::size_t>(size));
      if (size == 0 && !out.empty()) break;
    }
    return out;
  }
};

TEST_F(FromC, the_sample_gets_a_secret_and_a_token) {
  start_for_client("open sesame");
  const Finished secret = run_sample({"secret", "db-password", path("client.crt"), path("client.key")});
  ASSERT_EQ(secret.exit_code, 0) << secret.err << service_->output();
  EXPECT_EQ(secret.out, "open sesame");
  const Finished token = run_sample({"token", "vault"});
  ASSERT_EQ(token.exit_code, 0) << token.err << service_->output();
  EXPECT_EQ(part(token.out, 1).at("aud"), "vault");
}

TEST_F(FromC, the_sample_says_why_it_gets_nothing) {
  start_for_client("open sesame");
  const Finished unknown = run_sample({"secret", "another", path("client.crt"), path("client.key")});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("no secret of this name is released to this evidence"));
  EXPECT_THAT(unknown.out, IsEmpty());
  EXPECT_EQ(run_sample({"token", "nobody"}).exit_code, 3) << "an audience that is not configured";
}

TEST_F(AttestRequest, needs_a_service_and_somebody_who_makes_quotes) {
  start("version=1.0; authorizationrules { => permit(); };");
  helper_.reset();
  EXPECT_EQ(request().exit_code, 4);
  service_.reset();
  EXPECT_EQ(request({"--timeout", "1"}).exit_code, 4);
  EXPECT_EQ(enclayer({"attest", "request", "--url", url_}).exit_code, 1) << "no audience";
}

}  // namespace
}  // namespace enclayer
