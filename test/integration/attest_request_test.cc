// SPDX-License-Identifier: Apache-2.0
// `enclayer attest request`: a quote of the real quote helper, shown to the real attestation service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "base/bytes.h"
#include "base/file.h"
#include "fake/http_service.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

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
    return fake::run(arguments, kSoon);
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
                                     "--plain-http",
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
    argv.insert(argv.end(), more.begin(), more.end());
    service_ = std::make_unique<fake::Process>(argv, environment);
    ASSERT_TRUE(service_->wait_for_output(" serving ", kSoon)) << service_->output();
    const std::string log = service_->output();
    const std::size_t at = log.find("address=", log.find(" serving ")) + 8;
    url_ = "http://" + log.substr(at, log.find(' ', at) - at) + "/";
  }
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
  folder_.write(
      "policies/db-password.json",
      json{{"version", "1.0.0"},
           {"anyOf", {{{"authority", kIssuer}, {"allOf", {{{"claim", "x-ms-sgx-is-debuggable"}, {"equals", false}}}}}}}}
          .dump());
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
