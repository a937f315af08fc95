// SPDX-License-Identifier: Apache-2.0
#include "collateral/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "fake/provisioning.h"
#include "fake/quote_case.h"
#include "fake/sim_collateral.h"
#include "fake/temp_folder.h"

namespace enclayer::collateral {
namespace {

using fake::HttpService;
using fake::ServiceKind;
using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kRecorded = ENCLAYER_TEST_DATA "/pcs/00606a000000-platform";
constexpr char kFmspc[] = "00606a000000";
const Time kNow = parse_time("2026-03-01T00:00:00Z").value();
const std::string kV4 = "/sgx/certification/v4/";

http::Client client() {
  http::Options options;
  options.advice = service_advice();
  options.pause = [](std::chrono::milliseconds) {};
  return http::Client(options);
}

Result<Answer> fetch_from(const HttpService& service) {
  http::Client http = client();
  return fetch(http, service_url(service.url()).value(), {fmspc_from(kFmspc).value(), PckCa::kPlatform},
               TrustedRoot::intel());
}

TEST(Service, a_caching_service_gives_everything_in_four_requests) {
  HttpService service(fake::provisioning_service(read_responses(kRecorded).value(), kFmspc));
  auto answer = fetch_from(service);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->collateral, fake::quote_case("C_automata_sgx_platform").collateral);
  EXPECT_THAT(service.requests(), ElementsAre(kV4 + "pckcrl?ca=platform&encoding=der", kV4 + "tcb?fmspc=00606a000000",
                                              kV4 + "qe/identity", kV4 + "rootcacrl"));
}

TEST(Service, an_edition_is_asked_for_where_there_are_several) {
  HttpService service(fake::provisioning_service(read_responses(kRecorded).value(), kFmspc));
  http::Client http = client();
  const std::string url = service_url(service.url()).value();
  for (const Edition& edition : {Edition::early(), Edition::number(17)})
    ASSERT_TRUE(fetch(http, url, {fmspc_from(kFmspc).value(), PckCa::kPlatform}, TrustedRoot::intel(), edition));
  EXPECT_THAT(service.requests(),
              ElementsAre(kV4 + "pckcrl?ca=platform&encoding=der", kV4 + "tcb?fmspc=00606a000000&update=early",
                          kV4 + "qe/identity?update=early", kV4 + "rootcacrl", kV4 + "pckcrl?ca=platform&encoding=der",
                          kV4 + "tcb?fmspc=00606a000000&tcbEvaluationDataNumber=17",
                          kV4 + "qe/identity?tcbEvaluationDataNumber=17", kV4 + "rootcacrl"));
}

TEST(Service, tdx_has_tcb_info_and_qe_identity_of_its_own_and_the_same_lists) {
  const Collateral tdx = fake::quote_case("T4_phala_tdx_v4").collateral;
  const PlatformKind platform = contents_of(tdx).value().platform;
  HttpService service(fake::provisioning_service(fake::intels_responses(tdx), base::to_hex(platform.fmspc)));
  http::Client http = client();
  auto answer = fetch(http, service_url(service.url()).value(), platform, TrustedRoot::intel());
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->collateral, tdx);
  EXPECT_THAT(service.requests(),
              ElementsAre(kV4 + "pckcrl?ca=platform&encoding=der", "/tdx/certification/v4/tcb?fmspc=b0c06f000000",
                          "/tdx/certification/v4/qe/identity", kV4 + "rootcacrl"));
}

TEST(Service, answer_for_enclaves_is_refused_where_one_for_tds_was_asked_for) {
  Responses sgx = read_responses(kRecorded).value();
  HttpService service([sgx](const fake::HttpRequest& request) {
    fake::HttpRequest changed = request;
    if (changed.target.starts_with("/tdx/")) changed.target.replace(0, 5, "/sgx/");
    return fake::provisioning_service(sgx, kFmspc)(changed);
  });
  http::Client http = client();
  auto answer = fetch(http, service_url(service.url()).value(),
                      {fmspc_from(kFmspc).value(), PckCa::kPlatform, Tee::kTdx}, TrustedRoot::intel());
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message(), HasSubstr("platform CA, TDX, got collateral of"));
}

TEST(TdxServiceUrl, stands_beside_that_of_sgx) {
  EXPECT_EQ(tdx_service_url(std::string(kIntelService)).value(),
            "https://api.trustedservices.intel.com/tdx/certification/v4");
  EXPECT_EQ(tdx_service_url("https://pccs/sgx/cache/sgx/certification/v4").value(),
            "https://pccs/sgx/cache/tdx/certification/v4");
  for (const char* url : {"https://pccs/certification/v4", "http://sgx/certification/v4"}) {
    auto refused = tdx_service_url(url);
    ASSERT_FALSE(refused) << url;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidArgument);
  }
}

TEST(Service, what_is_fetched_can_be_kept_as_a_folder_and_read_again) {
  HttpService service(fake::provisioning_service(read_responses(kRecorded).value(), kFmspc));
  auto answer = fetch_from(service);
  ASSERT_TRUE(answer);
  fake::TempFolder temporary;
  ASSERT_TRUE(write_responses(temporary.path() / "kept", answer->responses));
  auto again = read_responses(temporary.path() / "kept");
  ASSERT_TRUE(again);
  EXPECT_EQ(collateral_from(*again).value(), answer->collateral);
}

TEST(Service, crls_in_pem_or_digits_are_the_same_crls) {
  Responses responses = read_responses(kRecorded).value();
  std::string digits = base::to_hex(responses.pck_crl.body);
  responses.pck_crl.body = Bytes(digits.begin(), digits.end());
  HttpService service(fake::provisioning_service(responses, kFmspc));
  auto answer = fetch_from(service);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->collateral, fake::quote_case("C_automata_sgx_platform").collateral);
}

TEST(Service, without_rootcacrl_the_trusted_root_says_where_its_crl_is) {
  auto responses = std::make_shared<Responses>();
  HttpService service([responses](const fake::HttpRequest& request) {
    if (request.target == "/root.der") return fake::answer_of(responses->root_ca_crl);
    return fake::provisioning_service(*responses, fake::kSimFmspc, ServiceKind::kPcs)(request);
  });
  auto sim = fake::sim_collateral(kNow, service.url() + "/root.der");
  *responses = fake::intels_responses(sim.collateral);
  http::Client http = client();
  PlatformKind platform{fmspc_from(fake::kSimFmspc).value(), PckCa::kPlatform};
  std::string url = service_url(service.url()).value();
  auto answer = fetch(http, url, platform, TrustedRoot::from_pem(sim.root).value());
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->collateral, sim.collateral);
  EXPECT_EQ(service.requests().back(), "/root.der");

  // A root that nobody told us to trust does not get to send us anywhere.
  std::size_t asked = service.requests().size();
  auto refused = fetch(http, url, platform, TrustedRoot::intel());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("--root-ca FILE"));
  EXPECT_EQ(service.requests().size(), asked + 4);
  EXPECT_EQ(service.requests().back(), kV4 + "rootcacrl");
}

TEST(Service, an_unknown_platform_is_not_found) {
  HttpService service(fake::provisioning_service(read_responses(kRecorded).value(), "000000000000"));
  auto answer = fetch_from(service);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(answer.error().message(), HasSubstr("tcb?fmspc=00606a000000: status 404"));
}

TEST(Service, an_answer_about_another_platform_is_refused) {
  Responses other = fake::intels_responses(fake::quote_case("A_phala_sgx_processor").collateral);
  HttpService service(fake::provisioning_service(other, kFmspc));
  auto answer = fetch_from(service);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(answer.error().message(), HasSubstr("asked for FMSPC 00606a000000, platform CA, got collateral of "
                                                  "FMSPC 00a067110000, processor CA"));
}

TEST(Service, an_answer_that_does_not_parse_is_refused_and_the_service_named) {
  for (auto damage :
       {+[](Responses& r) { r.tcb_info.headers.clear(); },
        +[](Responses& r) { r.pck_crl.headers = "SGX-PCK-CRL-Issuer-Chain: %%%\r\n"; },
        +[](Responses& r) { r.qe_identity.body = {'<'}; }, +[](Responses& r) { r.pck_crl.body.resize(100); },
        +[](Responses& r) { r.root_ca_crl.body.clear(); },
        +[](Responses& r) { r.qe_identity.body = r.tcb_info.body; }}) {
    Responses responses = read_responses(kRecorded).value();
    damage(responses);
    HttpService service(fake::provisioning_service(responses, kFmspc));
    auto answer = fetch_from(service);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kMalformed) << answer.error().message();
    EXPECT_THAT(answer.error().message(), HasSubstr("what " + service.url()));
  }
}

TEST(ServiceUrl, of_a_bare_host_gets_the_path_of_every_service) {
  EXPECT_EQ(service_url("https://pccs.example:8081").value(), "https://pccs.example:8081/sgx/certification/v4");
  EXPECT_EQ(service_url("https://pccs.example:8081/").value(), "https://pccs.example:8081/sgx/certification/v4");
  EXPECT_EQ(service_url("https://pccs.example/sgx/certification/v3/").value(),
            "https://pccs.example/sgx/certification/v3");
  EXPECT_EQ(service_url(kIntelService).value(), kIntelService);
  EXPECT_FALSE(service_url("pccs.example"));
  auto ended = service_url("https://api.trustedservices.intel.com/sgx/certification/v3");
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message(), HasSubstr("/sgx/certification/v4"));
}

}  // namespace
}  // namespace enclayer::collateral
