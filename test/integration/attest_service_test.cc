// SPDX-License-Identifier: Apache-2.0
// The real enclayer-attest, asked as its clients ask it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "attest/jwe.h"
#include "attest/jws.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/hex.h"
#include "enclayer/policy.h"
#include "fake/http_get.h"
#include "fake/http_service.h"
#include "fake/process.h"
#include "fake/provisioning.h"
#include "fake/ra_tls.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "http/client.h"
#include "sim/case.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using attest::from_base64url;
using attest::to_base64url;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-attest";
constexpr auto kSoon = 60s;  // a deadline, not a pause
constexpr auto kPermitAll = "version=1.0;\nauthorizationrules { => permit(); };\nissuancerules { };\n";
constexpr auto kAzure = "/attest/SgxEnclave?api-version=2020-10-01";

Time now() { return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()); }
std::int64_t seconds(Time time) { return time.time_since_epoch().count(); }
std::string encoded(std::string_view text) { return to_base64url(base::as_bytes(text)); }

json payload(const std::string& token) {
  const std::size_t first = token.find('.'), last = token.rfind('.');
  return json::parse(base::as_text(from_base64url(token.substr(first + 1, last - first - 1)).value()));
}
json header(const std::string& token) {
  return json::parse(base::as_text(from_base64url(token.substr(0, token.find('.'))).value()));
}

// A token's signature, by the certificate in the JWKS that its header names.
bool verifies(const std::string& token, const json& jwks) {
  for (const json& jwk : jwks.at("keys")) {
    if (jwk.at("kid") != header(token).at("kid")) continue;
    Bytes der = base::from_base64(jwk.at("x5c").at(0).get<std::string>(), base::Base64::kPem).value();
    const unsigned char* at = der.data();
    std::unique_ptr<X509, decltype(&::X509_free)> certificate(::d2i_X509(nullptr, &at, static_cast<long>(der.size())),
                                                              ::X509_free);
    Bytes signature = from_base64url(token.substr(token.rfind('.') + 1)).value();
    if (jwk.at("alg") == "ES256") {
      std::unique_ptr<ECDSA_SIG, decltype(&::ECDSA_SIG_free)> parts(::ECDSA_SIG_new(), ::ECDSA_SIG_free);
      ::ECDSA_SIG_set0(parts.get(), ::BN_bin2bn(signature.data(), 32, nullptr),
                       ::BN_bin2bn(signature.data() + 32, 32, nullptr));
      unsigned char* out = nullptr;
      const int size = ::i2d_ECDSA_SIG(parts.get(), &out);
      signature.assign(out, out + size);
      ::OPENSSL_free(out);
    }
    std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(), ::EVP_MD_CTX_free);
    return ::EVP_DigestVerifyInit(context.get(), nullptr, ::EVP_sha256(), nullptr,
                                  ::X509_get0_pubkey(certificate.get())) == 1 &&
           ::EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                              reinterpret_cast<const unsigned char*>(token.data()), token.rfind('.')) == 1;
  }
  return false;
}

// One simulated platform, whose enclaves and TDs say what a test wants.
class Platform {
 public:
  explicit Platform(sim::Order order = sim::good_order(now())) : order_(std::move(order)) {
    collateral = sim::issue_collateral(ca_, order_.collateral).value();
  }
  Bytes quote(const ByteArray<64>& report_data, bool debug = false) const {
    sim::QuoteOrder order = order_.quote;
    order.enclave.report_data = report_data;
    if (debug) order.enclave.attributes.flags |= Attributes::kDebug;
    return sim::issue_quote(order, ca_, key_).value();
  }
  // Of an enclave that speaks for these bytes.
  Bytes quote_of(std::string_view runtime_data, bool debug = false) const {
    ByteArray<64> report_data{};
    const auto digest = base::sha256(base::as_bytes(runtime_data));
    std::copy(digest.begin(), digest.end(), report_data.begin());
    return quote(report_data, debug);
  }
  const std::string& root() const { return ca_.root.certificate; }
  Collateral collateral_of(const sim::CollateralOrder& other) const {
    return sim::issue_collateral(ca_, other).value();
  }
  Collateral collateral;

 private:
  sim::Order order_;
  sim::Ca ca_ = sim::make_ca(order_.ca).value();
  sim::SigningKey key_ = sim::SigningKey::generate().value();
};

struct Answer {
  unsigned status = 0;
  std::string headers;
  json body;
  std::string text;
};

class AttestService : public testing::Test {
 protected:
  AttestService() {
    folder_.write("root.pem", platform_.root());
    folder_.write("collateral.json", to_json(platform_.collateral));
    folder_.write("policy.txt", kPermitAll);
  }

  std::string path(const char* name) const { return folder_.path() / name; }
  std::vector<std::string> command(const std::vector<std::string>& more,
                                   const std::vector<std::string>& collateral) const {
    auto has = [&](const char* flag) { return std::find(more.begin(), more.end(), flag) != more.end(); };
    std::vector<std::string> argv = {kProgram,           "--issuer",         issuer_,       "--policy",
                                     path("policy.txt"), "--state-dir",      path("state"), "--simulated-root",
                                     path("root.pem"),   "--metrics-listen", "127.0.0.1:0"};
    if (!has("--listen")) argv.insert(argv.end(), {"--listen", "127.0.0.1:0"});
    if (!has("--tls-cert")) argv.push_back("--plain-http");
    argv.insert(argv.end(), collateral.begin(), collateral.end());
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    return command(more, {"--collateral", path("collateral.json")});
  }
  void start(const std::vector<std::string>& argv) {
    service_.reset();
    service_ = std::make_unique<fake::Process>(argv);
    ASSERT_TRUE(service_->wait_for_output(" serving ", kSoon)) << service_->output();
    find_address();
  }
  void find_address() {
    const std::string log = service_->output();
    const std::size_t at = log.find("address=", log.find(" serving ")) + 8;
    address_ = log.substr(at, log.find(' ', at) - at);
  }
  void start() { start(command()); }

  Answer ask(const std::string& method, const std::string& target, const std::string& body = "") const {
    http::Options options;
    options.any_status = true;
    options.limits.tries = 1;
    http::Client client(std::move(options));
    auto answer = client.send({"http://" + address_ + target, method, {}, body});
    EXPECT_TRUE(answer) << answer.error().message() << service_->output();
    if (!answer) return {};
    Answer out{answer->status, answer->headers, nullptr, std::string(base::as_text(answer->body))};
    out.body = json::parse(out.text, nullptr, false);
    return out;
  }
  Answer get(const std::string& target) const { return ask("GET", target); }
  Answer azure(const json& body, const std::string& target = kAzure) const { return ask("POST", target, body.dump()); }
  Answer ear(json body) const {
    if (!body.contains("audience")) body["audience"] = "vault";
    return ask("POST", "/ear", body.dump());
  }
  static json request(ByteView quote, std::string_view runtime_data, const char* type = "Binary") {
    return {{"quote", to_base64url(quote)}, {"runtimeData", {{"data", encoded(runtime_data)}, {"dataType", type}}}};
  }
  std::string refused(const std::vector<std::string>& argv, int exit_code) const {
    auto finished = fake::run(argv, kSoon);
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    return finished.err;
  }

  std::string issuer_ = "http://127.0.0.1:8443/simulated";
  const Platform platform_;
  fake::TempFolder folder_;
  std::unique_ptr<fake::Process> service_;
  std::string address_;
};

// ---- Door A ----

TEST_F(AttestService, azure_token_says_what_the_enclave_is_and_is_signed_by_a_published_key) {
  start();
  const Bytes quote = platform_.quote_of("held data");
  json asked = request(quote, "held data");
  asked["nonce"] = "a nonce";
  const Answer answer = azure(asked);
  ASSERT_EQ(answer.status, 200u) << answer.text;
  const std::string token = answer.body.at("token");
  EXPECT_TRUE(verifies(token, get("/certs").body));
  EXPECT_EQ(header(token).at("alg"), "RS256");
  EXPECT_EQ(header(token).at("jku"), issuer_ + "/certs");
  const json claims = payload(token);
  const ReportBody& report = parse_quote(quote)->report();
  EXPECT_EQ(claims.at("iss"), issuer_);
  EXPECT_EQ(claims.at("nonce"), "a nonce");
  EXPECT_EQ(claims.at("x-ms-ver"), "1.0");
  EXPECT_EQ(claims.at("x-ms-attestation-type"), "sgx");
  EXPECT_EQ(claims.at("x-ms-sgx-mrenclave"), base::to_hex(report.mr_enclave));
  EXPECT_EQ(claims.at("x-ms-sgx-mrsigner"), base::to_hex(report.mr_signer));
  EXPECT_EQ(claims.at("x-ms-sgx-product-id"), report.isv_prod_id);
  EXPECT_EQ(claims.at("x-ms-sgx-svn"), report.isv_svn);
  EXPECT_EQ(claims.at("x-ms-sgx-is-debuggable"), false);
  EXPECT_EQ(claims.at("x-ms-sgx-ehd"), encoded("held data"));
  EXPECT_EQ(claims.at("x-ms-sgx-collateral").at("quotehash"), base::to_hex(base::sha256(quote)));
  EXPECT_EQ(claims.at("x-ms-policy-hash"), to_base64url(base::sha256(base::as_bytes(encoded(kPermitAll)))));
  EXPECT_EQ(claims.at("x-enclayer-simulated"), true);
  EXPECT_LT(claims.at("nbf").get<std::int64_t>(), claims.at("iat").get<std::int64_t>());
  EXPECT_EQ(claims.at("exp").get<std::int64_t>() - claims.at("iat").get<std::int64_t>(), 600);
  for (const char* name : {"x-ms-sgx-report-data", "is-debuggable", "ehd", "x-enclayer-fmspc"})
    EXPECT_FALSE(claims.contains(name));
}

TEST_F(AttestService, discovery_leads_to_keys_of_both_algorithms) {
  start();
  const json found = get("/.well-known/openid-configuration").body;
  EXPECT_EQ(found.at("issuer"), issuer_);
  EXPECT_EQ(found.at("jwks_uri"), issuer_ + "/jwks");
  std::vector<std::string> algorithms;
  const json jwks = get("/jwks").body;
  for (const json& key : jwks.at("keys")) algorithms.push_back(key.at("alg"));
  EXPECT_THAT(algorithms, testing::ElementsAre("RS256", "ES256"));
  EXPECT_EQ(get("/certs").body.at("keys").size(), 1u);
  EXPECT_EQ(ask("POST", "/certs").status, 405u);
  EXPECT_EQ(get("/elsewhere").status, 404u);
}

TEST_F(AttestService, deprecated_claims_are_there_only_where_they_were_asked_for) {
  start(command({"--legacy-claims"}));
  const json claims = payload(azure(request(platform_.quote_of("x"), "x")).body.at("token"));
  EXPECT_EQ(claims.at("is-debuggable"), false);
  EXPECT_EQ(claims.at("maa-ehd"), encoded("x"));
  EXPECT_EQ(claims.at("tee"), "sgx");
}

TEST_F(AttestService, runtime_data_is_bound_by_the_bytes_as_they_came) {
  start();
  const std::string data = "{ \"b\" : 1.0,\n \"a\" : [ \"\\u0041\" ] }";
  const Answer good = azure(request(platform_.quote_of(data), data, "JSON"));
  ASSERT_EQ(good.status, 200u) << good.text;
  EXPECT_EQ(payload(good.body.at("token")).at("x-ms-runtime"), json::parse(data));
  // The same value, written otherwise.
  const Answer other = azure(request(platform_.quote_of(data), json::parse(data).dump(), "JSON"));
  EXPECT_EQ(other.status, 400u);
  EXPECT_THAT(other.body.at("error").at("message"), HasSubstr("REPORT_DATA"));
  ByteArray<64> tail{};
  const auto digest = base::sha256(base::as_bytes(data));
  std::copy(digest.begin(), digest.end(), tail.begin());
  tail[63] = 1;
  EXPECT_EQ(azure(request(platform_.quote(tail), data)).status, 400u) << "the other 32 bytes are zero";
  // Without runtime data nothing is said of it.
  const json bare = payload(azure({{"quote", to_base64url(platform_.quote_of(data))}}).body.at("token"));
  EXPECT_FALSE(bare.contains("x-ms-sgx-ehd") || bare.contains("x-ms-runtime"));
}

TEST_F(AttestService, json_that_two_readers_might_read_differently_is_refused) {
  start();
  auto says = [&](const std::string& data) {
    const Answer answer = azure(request(platform_.quote_of(data), data, "JSON"));
    return answer.status == 400 ? answer.body.at("error").at("message").get<std::string>() : "taken: " + answer.text;
  };
  EXPECT_THAT(says(R"({"role":"user","role":"admin"})"), HasSubstr("runtimeData"));
  EXPECT_THAT(says("{\"a\":1} x"), HasSubstr("runtimeData"));
  EXPECT_THAT(says("[1]"), HasSubstr("runtimeData"));
  EXPECT_THAT(says(std::string(20, '[') + std::string(20, ']')), HasSubstr("runtimeData"));
  const std::string quote = "\"" + to_base64url(platform_.quote_of("x")) + "\"";
  for (const std::string& body : {"{\"quote\":" + quote + ",\"quote\":" + quote + "}", "{\"quote\":" + quote + "} {}",
                                  "[" + quote + "]", std::string("{\"quote\":1}"), std::string("{}"), std::string(),
                                  "{\"quote\":" + quote + ",\"Quote\":" + quote + "}"}) {
    const Answer answer = ask("POST", kAzure, body);
    EXPECT_EQ(answer.status, 400u) << body.substr(0, 40);
    EXPECT_EQ(answer.body.at("error").at("code"), "InvalidParameter");
  }
}

TEST_F(AttestService, evidence_is_base64url_without_padding_and_nothing_else) {
  start();
  Bytes quote;
  std::string text;
  do {  // until it has a character in which the two alphabets differ
    quote = platform_.quote_of("x");
    text = to_base64url(quote);
  } while (text.find('-') == text.npos);
  EXPECT_EQ(azure({{"quote", text}}).status, 200u);
  std::string standard = text, padded = text, wrapped = text;
  std::replace(standard.begin(), standard.end(), '-', '+');
  padded.append(text.size() % 4 == 0 ? 4 : 4 - text.size() % 4, '=');
  wrapped.insert(64, "\n");
  for (const std::string& other : {standard, padded, wrapped, " " + text, std::string()})
    EXPECT_EQ(azure({{"quote", other}}).status, 400u) << other.substr(0, 70);
}

TEST_F(AttestService, what_is_not_built_is_refused_by_name) {
  start();
  const std::string quote = to_base64url(platform_.quote_of("x"));
  for (const char* key : {"initTimeData", "draftPolicyForAttestation"}) {
    const Answer answer = azure({{"quote", quote}, {key, "x"}});
    EXPECT_EQ(answer.status, 400u);
    EXPECT_THAT(answer.body.at("error").at("message"), HasSubstr(key));
  }
  EXPECT_EQ(ask("PUT", "/policies/SgxEnclave?api-version=2020-10-01", "eyJhbGciOiJub25lIn0.e30.").status, 400u);
  EXPECT_EQ(azure({{"data", "x"}}, "/attest/Tpm?api-version=2020-10-01").body.at("error").at("code"), "NotSupported");
  EXPECT_EQ(azure({{"quote", quote}}, "/attest/SgxEnclave").body.at("error").at("code"), "MissingApiVersionParameter");
  EXPECT_EQ(azure({{"quote", quote}}, "/attest/SgxEnclave?api-version=2018-09-01").status, 400u);
}

TEST_F(AttestService, open_enclave_reports_and_quotes_have_their_own_doors) {
  start();
  const Bytes quote = platform_.quote_of("x");
  const std::string report = to_base64url(fake::with_open_enclave_header(quote));
  EXPECT_EQ(azure({{"report", report}}, "/attest/OpenEnclave?api-version=2020-10-01").status, 200u);
  EXPECT_EQ(azure({{"report", to_base64url(quote)}}, "/attest/OpenEnclave?api-version=2020-10-01").status, 400u);
  EXPECT_EQ(azure({{"quote", report}}).status, 400u);
  const Answer wrong = azure({{"quote", to_base64url(quote)}}, "/attest/TdxVm?api-version=2025-06-01");
  EXPECT_THAT(wrong.body.at("error").at("message"), HasSubstr("/attest/SgxEnclave"));
}

// ---- Both doors, and the verifier ----

TEST_F(AttestService, every_simulated_case_gets_the_verdict_of_verify_through_both_doors) {
  Policy policy;
  policy.allow_simulated = true;
  int trusted = 0, judged = 0, not_started = 0;
  for (const sim::Case& one : sim::cases()) {
    SCOPED_TRACE(one.name);
    const sim::Evidence evidence = sim::make_evidence(one, now()).value();
    const auto root = TrustedRoot::from_pem(evidence.root);
    auto verified_now = [&] {
      return root ? verify(evidence.quote, evidence.collateral, *root, now()) : Verification{};
    };
    folder_.write("root.pem", evidence.root);
    folder_.write("collateral.json", to_json(evidence.collateral));
    service_.reset();
    service_ = std::make_unique<fake::Process>(command({"--audience", "vault"}));
    if (!service_->wait_for_output(" serving ", kSoon)) {  // it refuses the collateral or the root as a whole
      EXPECT_FALSE(judge(verified_now(), policy).trusted);
      EXPECT_NE(service_->wait(kSoon), 0);
      ++not_started;
      continue;
    }
    find_address();
    const auto quote = parse_quote(evidence.quote);
    const json asked = {{"quote", to_base64url(evidence.quote)}};
    const bool td = quote && !quote->sgx(), report = quote && quote->open_enclave_header;
    const Verification found = verified_now();
    const Verdict before = judge(found, policy);
    const Answer a = report ? azure({{"report", asked.at("quote")}}, "/attest/OpenEnclave?api-version=2020-10-01")
                            : azure(asked, td ? "/attest/TdxVm?api-version=2025-06-01" : kAzure);
    const Answer r = ear(asked);
    if (before.reason != judge(verified_now(), policy).reason) continue;  // a case of the last second, which is over
    ++judged;
    ASSERT_EQ(a.status, before.trusted ? 200u : 400u) << a.text;
    ASSERT_EQ(r.status, before.trusted ? 200u : 403u) << r.text;
    if (before.trusted) {
      EXPECT_EQ(payload(a.body.at("token")).at("attester_tcb_status"), to_string(*found.tcb_status));
      EXPECT_TRUE(verifies(r.body.at("token"), get("/jwks").body));
      ++trusted;
    } else {
      EXPECT_THAT(a.text, HasSubstr(std::string(to_string(before.reason))));
      EXPECT_THAT(r.text, HasSubstr(std::string(to_string(before.reason))));
    }
  }
  EXPECT_GT(trusted, 10);
  EXPECT_GT(judged, 180);
  EXPECT_LT(not_started, 25);
  RecordProperty("judged", judged);
}

TEST_F(AttestService, debug_enclave_is_refused_by_a_policy_that_asks_for_its_signer_alone) {
  const Bytes debug = platform_.quote_of("x", true);
  folder_.write("policy.txt", "version=1.0;\nauthorizationrules { [type==\"x-ms-sgx-mrsigner\", value==\"" +
                                  base::to_hex(parse_quote(debug)->report().mr_signer) +
                                  "\"] => permit(); };\nissuancerules { };\n");
  start(command({"--audience", "vault"}));
  EXPECT_EQ(azure({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 200u);
  const Answer refused = azure({{"quote", to_base64url(debug)}});
  EXPECT_EQ(refused.status, 400u);
  EXPECT_THAT(refused.body.at("error").at("message"), HasSubstr("DEBUG_ENCLAVE"));
  // It has to be allowed by name, and the token says so.
  folder_.write("floor.json", R"({"version": 1, "allow_debug": true, "allow_simulated": true})");
  start(command({"--verify-policy", path("floor.json"), "--audience", "vault"}));
  EXPECT_EQ(payload(azure({{"quote", to_base64url(debug)}}).body.at("token")).at("x-ms-sgx-is-debuggable"), true);
  const json claims = payload(ear({{"quote", to_base64url(debug)}}).body.at("token"));
  EXPECT_EQ(claims.at("submods").at("sgx").at("ear.status"), "contraindicated");
  EXPECT_EQ(claims.at("submods").at("sgx").at("ear.trustworthiness-vector").at("configuration"), 96);
}

TEST_F(AttestService, policy_decides_says_why_and_speaks_in_the_token_but_not_for_the_service) {
  auto write_rules = [&](const std::string& authorization, const std::string& issuance) {
    folder_.write("policy.txt",
                  "version=1.0;\nauthorizationrules { " + authorization + " };\nissuancerules { " + issuance + " };\n");
  };
  write_rules("[type==\"x-ms-sgx-svn\", value>=60000] => permit();", "");
  start();
  const Answer refused_by_policy = azure({{"quote", to_base64url(platform_.quote_of("x"))}});
  EXPECT_EQ(refused_by_policy.status, 400u);
  EXPECT_EQ(refused_by_policy.body.at("error").at("code"), "PolicyEvaluationError");

  write_rules("=> permit();", "c:[type==\"x-ms-sgx-svn\"] => issue(type=\"release\", value=c.value);");
  start();
  const Bytes quote = platform_.quote_of("x");
  EXPECT_EQ(payload(azure({{"quote", to_base64url(quote)}}).body.at("token")).at("release"),
            parse_quote(quote)->report().isv_svn);

  for (const char* name : {"iss", "exp", "x-ms-sgx-mrenclave", "x-enclayer-simulated", "cnf"}) {
    write_rules("=> permit();", std::string("=> issue(type=\"") + name + "\", value=\"00\");");
    EXPECT_THAT(refused(command(), 2), HasSubstr(name));
  }
}

TEST_F(AttestService, broken_policy_at_reload_leaves_the_old_one_which_the_token_names) {
  start();
  const json asked = {{"quote", to_base64url(platform_.quote_of("x"))}};
  const json before = payload(azure(asked).body.at("token"));
  folder_.write("policy.txt", "version=1.0;\nauthorizationrules { => perm");
  service_->signal(SIGHUP);
  ASSERT_TRUE(service_->wait_for_output("policy broken", kSoon));
  EXPECT_EQ(payload(azure(asked).body.at("token")).at("x-ms-policy-hash"), before.at("x-ms-policy-hash"));
  const std::string metrics = fake::metrics_address(service_->output());
  EXPECT_THAT(fake::http_get(metrics, "/metrics"), HasSubstr("enclayer_attest_policy_broken 1"));
  EXPECT_THAT(fake::http_get(metrics, "/readyz"), AllOf(HasSubstr("200 OK"), HasSubstr("line 2")));
  const std::string other = std::string(kPermitAll) + "\n";
  folder_.write("policy.txt", other);
  service_->signal(SIGHUP);
  const std::string hash = to_base64url(base::sha256(base::as_bytes(encoded(other))));
  ASSERT_TRUE(service_->wait_for_output(hash, kSoon));
  const auto deadline = std::chrono::steady_clock::now() + kSoon;
  while (payload(azure(asked).body.at("token")).at("x-ms-policy-hash") != hash &&
         std::chrono::steady_clock::now() < deadline)
    ;
  EXPECT_EQ(payload(azure(asked).body.at("token")).at("x-ms-policy-hash"), hash);
}

TEST_F(AttestService, token_dies_with_what_it_was_made_of) {
  sim::Order order = sim::good_order(now());
  order.collateral.expires = now() + 120s;
  const Platform short_lived(order);
  folder_.write("root.pem", short_lived.root());
  folder_.write("collateral.json", to_json(short_lived.collateral));
  start(command({"--audience", "vault", "--token-life", "3600"}));
  const json asked = {{"quote", to_base64url(short_lived.quote_of("x"))}};
  for (const Answer& answer : {azure(asked), ear(asked)}) {
    ASSERT_EQ(answer.status, 200u) << answer.text;
    EXPECT_EQ(payload(answer.body.at("token")).at("exp"), seconds(order.collateral.expires));
  }
}

TEST_F(AttestService, log_has_hashes_and_never_what_the_enclave_said) {
  start();
  const std::string secret = "launch-code-4711";
  const Bytes quote = platform_.quote_of(secret);
  EXPECT_EQ(azure(request(quote, secret)).status, 200u);
  EXPECT_EQ(azure(request(quote, "another-secret")).status, 400u);
  ASSERT_TRUE(service_->wait_for_output("accepted=false", kSoon));
  const std::string log = service_->output();
  EXPECT_THAT(log,
              AllOf(HasSubstr("evidence_sha256=" + base::to_hex(base::sha256(quote))), HasSubstr("accepted=true")));
  for (const std::string& hidden :
       {secret, encoded(secret), std::string("another-secret"), base::to_hex(base::sha256(base::as_bytes(secret)))})
    EXPECT_THAT(log, Not(HasSubstr(hidden)));
}

// ---- Instances and keys ----

TEST_F(AttestService, simulated_instance_says_so_in_its_issuer_and_has_keys_of_its_own) {
  issuer_ = "https://attest.bank.example";
  EXPECT_THAT(refused(command(), 1), HasSubstr("simulated"));
  issuer_ = "http://127.0.0.1:8443/simulated";
  start();
  service_.reset();
  std::vector<std::string> real = {
      kProgram,      "--issuer",     "https://attest.bank.example", "--policy",     path("policy.txt"), "--state-dir",
      path("state"), "--collateral", path("collateral.json"),       "--plain-http", "--listen",         "127.0.0.1:0"};
  EXPECT_THAT(refused(real, 5), HasSubstr("simulated instance"));
  real[2] = issuer_;
  EXPECT_THAT(refused(real, 1), HasSubstr("says simulated"));
}

TEST_F(AttestService, keys_that_are_damaged_at_the_start_are_named_and_later_the_old_ones_stay) {
  start();
  const std::string jwks = get("/jwks").text;
  std::string file;
  for (const auto& entry : fs::directory_iterator(path("state/keys")))
    if (entry.path().extension() == ".pem") file = entry.path().filename();
  folder_.write("state/keys/" + file, "nothing");
  service_->signal(SIGHUP);
  ASSERT_TRUE(service_->wait_for_output("signing keys broken", kSoon));
  EXPECT_EQ(get("/jwks").text, jwks);
  EXPECT_EQ(azure({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 200u);
  service_.reset();
  EXPECT_THAT(refused(command(), 2), HasSubstr(file));
}

TEST_F(AttestService, flags_that_make_no_sense_are_refused_with_what_to_do) {
  auto with = [&](std::vector<std::string> more) { return command(more, {"--collateral", path("collateral.json")}); };
  EXPECT_THAT(refused(with({"--listen", "0.0.0.0:0"}), 1), HasSubstr("loopback"));
  EXPECT_THAT(refused(command({}, {}), 1), HasSubstr("--pccs-url"));
  folder_.write("policy.txt", "version=1.2;\n");
  EXPECT_THAT(refused(with({}), 2), HasSubstr("1.2"));
  folder_.write("policy.txt", kPermitAll);
  folder_.write("root.pem", "none");
  refused(with({}), 2);
  fs::remove(path("policy.txt"));
  folder_.write("root.pem", platform_.root());
  EXPECT_THAT(refused(with({}), 3), HasSubstr("policy.txt"));
}

TEST_F(AttestService, serves_over_tls_and_renews_its_certificate) {
  const auto identity = fake::make_tls_identity();
  folder_.write("tls.crt", identity.certificate);
  folder_.write("tls.key", identity.key);
  start(command({"--tls-cert", path("tls.crt"), "--tls-key", path("tls.key")}));
  auto status = [&](const std::string& authority) {
    http::Options options;
    options.ca_pem = authority;
    options.limits.tries = 1;
    http::Client client(std::move(options));
    auto answer = client.send(
        {"https://" + address_ + kAzure, "POST", {}, json{{"quote", to_base64url(platform_.quote_of("x"))}}.dump()});
    return answer ? answer->status : answer.error().code();
  };
  EXPECT_EQ(status(identity.authority), 200u);
  const auto other = fake::make_tls_identity();
  folder_.write("tls.key", other.key);  // half of the change
  service_->signal(SIGHUP);
  ASSERT_TRUE(service_->wait_for_output("certificate broken", kSoon));
  EXPECT_EQ(status(identity.authority), 200u);
  folder_.write("tls.crt", other.certificate);
  service_->signal(SIGHUP);
  ASSERT_TRUE(service_->wait_for_output("certificate renewed", kSoon));
  EXPECT_EQ(status(other.authority), 200u);
}

// ---- Door R ----

TEST_F(AttestService, ear_token_names_subject_audience_key_and_nonce) {
  start(command({"--audience", "vault", "--audience", "k8s"}));
  const json key = {{"kty", "EC"}, {"crv", "P-256"}, {"x", encoded("x")}, {"y", encoded("y")}};
  const json nonce = get("/nonce").body;
  EXPECT_EQ(nonce.at("expires_in"), 300);
  const std::string data = json{{"nonce", nonce.at("nonce")}, {"keys", {key}}}.dump();
  const Bytes quote = platform_.quote_of(data);
  const Answer answer = ear({{"quote", to_base64url(quote)}, {"runtime_data", encoded(data)}, {"audience", "k8s"}});
  ASSERT_EQ(answer.status, 200u) << answer.text;
  const std::string token = answer.body.at("token");
  EXPECT_EQ(header(token).at("alg"), "ES256");
  EXPECT_TRUE(verifies(token, get("/jwks").body));
  const json claims = payload(token);
  const ReportBody& report = parse_quote(quote)->report();
  EXPECT_EQ(claims.at("sub"),
            "sgx:mrsigner:" + base::to_hex(report.mr_signer) + ":" + std::to_string(report.isv_prod_id));
  EXPECT_EQ(claims.at("aud"), "k8s");
  EXPECT_EQ(claims.at("eat_nonce"), nonce.at("nonce"));
  EXPECT_EQ(claims.at("cnf").at("jwk"), key);
  EXPECT_EQ(claims.at("eat_profile"), "tag:github.com,2023:veraison/ear");
  EXPECT_EQ(claims.at("x-enclayer-simulated"), true);
  const json& vector = claims.at("submods").at("sgx").at("ear.trustworthiness-vector");
  EXPECT_EQ(vector.at("hardware"), 97) << "a simulated platform is none";
  EXPECT_EQ(vector.at("executables"), 33) << "the policy names no enclave";

  const Answer other = ear({{"quote", to_base64url(quote)}, {"audience", "elsewhere"}});
  EXPECT_EQ(other.status, 403u);
  EXPECT_THAT(other.headers, HasSubstr("application/problem+json"));
  EXPECT_EQ(ear({{"quote", to_base64url(quote)}, {"runtime_data", encoded(data + " ")}}).status, 403u);
  const std::string secret = R"({"keys":[{"kty":"EC","d":"AAAA"}]})";
  for (const std::string& bad : {secret, std::string(R"({"keys":[1]})"), std::string(R"({"keys":[{"n":"AAAA"}]})")})
    EXPECT_EQ(ear({{"quote", to_base64url(platform_.quote_of(bad))}, {"runtime_data", encoded(bad)}}).status, 403u);
}

TEST_F(AttestService, where_a_nonce_is_demanded_evidence_without_ours_is_refused) {
  start(command({"--audience", "vault", "--demand-nonce"}));
  auto with = [&](const std::string& data) {
    return ear({{"quote", to_base64url(platform_.quote_of(data))}, {"runtime_data", encoded(data)}});
  };
  const std::string ours = get("/nonce").body.at("nonce");
  EXPECT_EQ(with(json{{"nonce", ours}}.dump()).status, 200u);
  EXPECT_EQ(ear({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 403u);
  EXPECT_EQ(with(R"({"nonce":"a nonce of somebody else's"})").status, 403u);
  EXPECT_EQ(with("{}").status, 403u);
}

TEST_F(AttestService, door_of_ear_is_closed_without_an_audience) {
  start();
  EXPECT_EQ(get("/nonce").status, 404u);
  EXPECT_EQ(ear({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 404u);
}

TEST_F(AttestService, ra_tls_certificate_is_evidence_whose_nonce_counts) {
  start(command({"--audience", "vault", "--demand-nonce"}));
  const std::string nonce = get("/nonce").body.at("nonce");
  fake::RaTlsMaker maker;
  const Bytes claims = fake::claims(maker.public_key(), 1, Bytes(nonce.begin(), nonce.end()));
  maker.add(fake::kDiceOid, fake::dice(platform_.quote_of(base::as_text(claims)), claims));
  const Answer answer = ear({{"certificate", to_base64url(maker.make())}});
  ASSERT_EQ(answer.status, 200u) << answer.text;
  const json said = payload(answer.body.at("token"));
  EXPECT_EQ(said.at("eat_nonce"), nonce);
  EXPECT_EQ(said.at("cnf").at("jwk").dump(), attest::public_jwk(maker.public_key()).value());

  fake::RaTlsMaker thief;  // another key, the same evidence
  thief.add(fake::kDiceOid, fake::dice(platform_.quote_of(base::as_text(claims)), claims));
  EXPECT_THAT(ear({{"certificate", to_base64url(thief.make())}}).text, HasSubstr("KEY_NOT_BOUND"));
  EXPECT_EQ(ear({{"certificate", encoded("none")}}).status, 403u);
  EXPECT_EQ(ear({{"certificate", "x"}, {"quote", "x"}}).status, 400u);
}

// ---- Secrets ----

// An API server that knows one token, of a ServiceAccount, for every audience that it is asked about.
fake::HttpService::Handler token_reviewer() {
  return [](const fake::HttpRequest& request) {
    const json spec = json::parse(request.body).at("spec");
    json status = {{"authenticated", spec.at("token") == "backups"}, {"audiences", spec.at("audiences")}};
    status["user"]["username"] = "system:serviceaccount:bank:backup";
    return fake::http_answer(201, json{{"status", status}}.dump());
  };
}

TEST_F(AttestService, secret_leaves_only_for_a_named_caller_and_wrapped_to_the_key_in_the_evidence) {
  const auto tls = fake::make_tls_identity();
  fake::HttpService api(token_reviewer(), tls);
  folder_.write("account/token", "ours");
  folder_.write("account/ca.crt", tls.authority);
  folder_.write("secrets/db-password", "open sesame");
  folder_.write("secrets/unused", "no policy");
  const Bytes plain = platform_.quote_of("x");
  auto policy = [&](const std::string& signer) {
    return json{
        {"version", "1.0.0"},
        {"anyOf", {{{"authority", issuer_}, {"allOf", {{{"claim", "x-ms-sgx-mrsigner"}, {"equals", signer}}}}}}}}
        .dump();
  };
  folder_.write("policies/db-password.json", policy(base::to_hex(parse_quote(plain)->report().mr_signer)));
  auto argv = command({"--secrets-dir", path("secrets"), "--release-policies", path("policies"), "--account-dir",
                       path("account"), "--release-account", "bank/backup"});
  service_ = std::make_unique<fake::Process>(
      argv, std::map<std::string, std::string>{{"KUBERNETES_SERVICE_HOST", "127.0.0.1"},
                                               {"KUBERNETES_SERVICE_PORT", api.address().substr(10)}});
  ASSERT_TRUE(service_->wait_for_output(" serving ", kSoon)) << service_->output();
  find_address();

  const auto key = attest::DecryptionKey::generate(attest::DecryptionKey::Kind::kP256).value();
  const std::string data = "{\"keys\":[" + key.jwk() + "]}";
  const json evidence = {{"quote", to_base64url(platform_.quote_of(data))}, {"runtime_data", encoded(data)}};
  auto release = [&](const std::string& secret, const json& body, const std::string& token = "backups") {
    http::Options options;
    options.any_status = true;
    options.limits.tries = 1;
    http::Client client(std::move(options));
    auto answer = client.send(
        {"http://" + address_ + "/release/" + secret, "POST", {"Authorization: Bearer " + token}, body.dump()});
    EXPECT_TRUE(answer);
    Answer out{answer->status, answer->headers, nullptr, std::string(base::as_text(answer->body))};
    out.body = json::parse(out.text, nullptr, false);
    return out;
  };
  const Answer given = release("db-password", evidence);
  ASSERT_EQ(given.status, 200u) << given.text;
  EXPECT_EQ(base::as_text(key.decrypt(given.body.at("value").get<std::string>()).value()), "open sesame");

  // Another caller, a key that the evidence does not hold, a secret without a policy and one that is not there.
  EXPECT_EQ(release("db-password", evidence, "stolen").status, 401u);
  EXPECT_EQ(ask("POST", "/release/db-password", evidence.dump()).status, 401u);
  const auto other = attest::DecryptionKey::generate(attest::DecryptionKey::Kind::kP256).value();
  json swapped = evidence;
  swapped["runtime_data"] = encoded("{\"keys\":[" + other.jwk() + "]}");
  EXPECT_EQ(release("db-password", swapped).status, 403u);
  const Answer unused = release("unused", evidence), missing = release("missing", evidence);
  EXPECT_EQ(unused.status, 403u);
  EXPECT_EQ(unused.text, missing.text);
  EXPECT_NE(release("../state/keys/nonce.key", evidence).status, 200u);

  // Another signer.
  folder_.write("policies/db-password.json", policy(std::string(64, '0')));
  EXPECT_EQ(release("db-password", evidence).status, 403u);
  EXPECT_THAT(service_->output(), AllOf(Not(HasSubstr("open sesame")), HasSubstr("db-password")));
}

TEST_F(AttestService, nobody_may_ask_for_secrets_unless_named) {
  folder_.write("secrets/x", "x");
  folder_.write("policies/x.json", "{}");
  EXPECT_THAT(refused(command({"--secrets-dir", path("secrets"), "--release-policies", path("policies")}), 1),
              HasSubstr("--release-account"));
  EXPECT_THAT(refused(command({"--secrets-dir", path("secrets"), "--release-policies", path("policies"),
                               "--release-client", "CN=x"}),
                      1),
              HasSubstr("--client-ca"));
  start();
  EXPECT_EQ(ask("POST", "/release/x", "{}").status, 404u);
}

// ---- Collateral ----

TEST_F(AttestService, collateral_is_fetched_behind_a_503_and_served_to_others) {
  fake::HttpService pccs(fake::provisioning_service(fake::intels_responses(platform_.collateral), "53494d554c41"));
  start(command({"--collateral-door"},
                {"--pccs-url", pccs.url(), "--cache-dir", path("cache"), "--fmspc", "53494d554c41"}));
  const json asked = {{"quote", to_base64url(platform_.quote_of("x"))}};
  const Answer first = azure(asked);
  EXPECT_EQ(first.status, 503u) << first.text;
  EXPECT_THAT(first.headers, HasSubstr("Retry-After"));
  ASSERT_TRUE(service_->wait_for_output("collateral fetched", kSoon)) << service_->output();
  EXPECT_EQ(azure(asked).status, 200u);
  // Another verifier takes it from here.
  const auto fetched =
      fake::run({std::string(ENCLAYER_BIN_DIR) + "/enclayer", "collateral", "fetch", "--fmspc", "53494d554c41", "--ca",
                 "platform", "--pccs", "http://" + address_, "--no-cache", "--out", path("fetched.json")});
  EXPECT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_EQ(parse_collateral_json(base::read_text(path("fetched.json"), 1 << 20).value()).value(),
            platform_.collateral);
  EXPECT_EQ(get("/sgx/certification/v4/tcb?fmspc=00606a000000").status, 404u);
  EXPECT_EQ(get("/sgx/certification/v4/tcb?fmspc=53494d554c41&update=standard").status, 200u);
  EXPECT_EQ(get("/sgx/certification/v4/tcb?fmspc=53494d554c41&update=early").status, 400u);
  EXPECT_EQ(get("/sgx/certification/v4/tcb?fmspc=53494d554c41&tcbEvaluationDataNumber=17").status, 400u);
  EXPECT_EQ(get("/tdx/certification/v4/qe/identity").status, 404u);
}

TEST_F(AttestService, platform_that_falls_with_the_early_tcb_info_is_on_the_page_before_it_does) {
  sim::Order order = sim::good_order(now());
  const Platform platform(order);
  sim::CollateralOrder early = order.collateral;
  early.tcb_evaluation_data_number += 1;
  early.tcb_levels.push_back(early.tcb_levels.front());
  early.tcb_levels.front().components[0] += 1;
  early.tcb_levels.back().status = "OutOfDate";
  const auto fmspc = "53494d554c41";
  auto answers = [&](const Collateral& collateral) {
    return fake::provisioning_service(fake::intels_responses(collateral), fmspc);
  };
  fake::HttpService pccs([standard = answers(platform.collateral),
                          early = answers(platform.collateral_of(early))](const fake::HttpRequest& request) {
    return request.target.find("update=early") == std::string::npos ? standard(request) : early(request);
  });
  folder_.write("root.pem", platform.root());
  start(command({}, {"--pccs-url", pccs.url(), "--cache-dir", path("cache"), "--fmspc", fmspc}));
  const json asked = {{"quote", to_base64url(platform.quote_of("x"))}};
  ASSERT_EQ(azure(asked).status, 503u);
  ASSERT_TRUE(service_->wait_for_output("collateral fetched", kSoon)) << service_->output();
  const auto deadline = std::chrono::steady_clock::now() + kSoon;
  while (service_->output().find("platform stands worse by early TCB Info") == std::string::npos &&
         std::chrono::steady_clock::now() < deadline)
    ASSERT_EQ(azure(asked).status, 200u);
  const std::string page = fake::http_get(fake::metrics_address(service_->output()), "/metrics");
  EXPECT_THAT(page, AllOf(HasSubstr(R"(enclayer_attest_platform_info{early_status="OutOfDate",fmspc="53494d554c41")"),
                          HasSubstr(R"(edition="early",fmspc="53494d554c41",tee="sgx"} 18)")));
}

TEST_F(AttestService, strangers_quotes_cause_no_requests_for_collateral) {
  fake::HttpService pccs(fake::provisioning_service(fake::intels_responses(platform_.collateral), "53494d554c41"));
  start(command({}, {"--pccs-url", pccs.url(), "--cache-dir", path("cache")}));
  const Answer answer = azure({{"quote", to_base64url(platform_.quote_of("x"))}});
  EXPECT_EQ(answer.status, 400u);
  EXPECT_THAT(answer.body.at("error").at("message"), HasSubstr("--fmspc"));
  EXPECT_TRUE(pccs.requests().empty());
}

// ---- Bad manners ----

base::UniqueFd connect_to(const std::string& address) {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  return fd;
}

TEST_F(AttestService, bodies_and_evidence_beyond_their_limits_are_refused) {
  start();
  EXPECT_EQ(ask("POST", kAzure, std::string(2 << 20, 'x')).status, 413u);
  const Answer answer = azure({{"quote", std::string(100'000, 'A')}});
  EXPECT_EQ(answer.status, 400u);
  EXPECT_THAT(answer.body.at("error").at("message"), HasSubstr("65536"));
  EXPECT_EQ(azure({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 200u);
}

TEST_F(AttestService, a_probe_takes_no_flags_but_where_it_is_served) {
  start();
  const auto probed = fake::run({std::string(ENCLAYER_BIN_DIR) + "/enclayer-attest", "--metrics-listen",
                                 fake::metrics_address(service_->output()), "--probe", "/readyz"},
                                60s);
  EXPECT_EQ(probed.exit_code, 0) << probed.err;
}

TEST_F(AttestService, ten_thousand_idle_connections_hold_nobody_up) {
  if (!fake::allow_descriptors(10'500)) GTEST_SKIP() << "this machine does not allow so many descriptors";
  start();
  std::vector<base::UniqueFd> idle;
  for (int i = 0; i < 10'000; ++i) idle.push_back(connect_to(address_));
  const std::string half = "POST /attest/SgxEnclave HTTP/1.1\r\nContent-";
  for (std::size_t i = idle.size() - 200; i < idle.size(); ++i)  // the oldest have given way
    ASSERT_GT(::send(idle[i].get(), half.data(), half.size(), MSG_NOSIGNAL), 0);
  EXPECT_EQ(azure({{"quote", to_base64url(platform_.quote_of("x"))}}).status, 200u);
  EXPECT_THAT(fake::http_get(fake::metrics_address(service_->output()), "/readyz"), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace enclayer
