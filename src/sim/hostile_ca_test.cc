// SPDX-License-Identifier: Apache-2.0
// Evidence that only a certificate authority can make, with one thing wrong in it: whoever holds the trusted key, or a
// PCK, errs or lies. Each is refused for that very thing. ca_test.cc has what an honest simulation could come to
// issue.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "enclayer/policy.h"
#include "enclayer/verify.h"
#include "fake/print_reason.h"
#include "sim/quote.h"

namespace enclayer::sim {
namespace {

using std::chrono::seconds;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

class HostileCa : public testing::Test {
 protected:
  Verification verification() {
    Ca ca = make_ca(ca_order_).value();
    Collateral collateral = issue_collateral(ca, order_).value();
    if (change_issued_) change_issued_(ca, collateral);
    auto root = TrustedRoot::from_pem(ca.root.certificate);
    return verify(quote_of(ca), collateral, root ? *root : TrustedRoot::intel(), kNow);
  }
  Reason reason() { return verification().reason; }
  Bytes quote_of(const Ca& ca) { return issue_quote(quote_, ca, SigningKey::generate().value()).value(); }

  CaOrder ca_order_ = ca_order(kNow);
  CollateralOrder order_ = collateral_order(kNow);
  QuoteOrder quote_;
  std::function<void(const Ca&, Collateral&)> change_issued_;
};

// Signs the JSON again after a change to it, as the TCB signing key would.
void resign(const Ca& ca, Collateral& collateral, std::string Collateral::*text,
            const std::function<void(nlohmann::ordered_json&)>& change) {
  auto json = nlohmann::ordered_json::parse(collateral.*text);
  change(json);
  collateral.*text = json.dump();
  ASSERT_TRUE(sign_collateral(ca, collateral));
}

TEST_F(HostileCa, quotes_of_an_enclave_verify_in_all_three_versions) {
  for (std::uint16_t version : {3, 4, 5}) {
    quote_.version = version;
    Verification v = verification();
    EXPECT_EQ(v.reason, Reason::kOk) << version << ": " << v.detail;
  }
}

TEST_F(HostileCa, authentication_data_may_have_any_size) {
  for (std::size_t size : {0, 1, 16, 64, 0xffff}) {
    quote_.auth_data = Bytes(size, 1);
    EXPECT_EQ(reason(), Reason::kOk) << size;
  }
}

TEST_F(HostileCa, qe_report_data_has_to_end_in_zeros) {
  quote_.qe_report_data_end = 1;
  EXPECT_EQ(reason(), Reason::kInvalidQeReportData);
}

TEST_F(HostileCa, attestation_key_that_is_certified_but_not_the_one_that_signed_is_refused) {
  quote_.attestation_key = SigningKey::generate()->public_key();
  EXPECT_EQ(reason(), Reason::kInvalidQuoteSignature);
}

TEST_F(HostileCa, attestation_key_off_the_curve_is_refused_though_the_pck_vouches_for_it) {
  quote_.attestation_key = ByteArray<64>{};
  EXPECT_EQ(reason(), Reason::kInvalidQuoteSignature);
  quote_.attestation_key->fill(0xff);
  EXPECT_EQ(reason(), Reason::kInvalidQuoteSignature);
}

TEST_F(HostileCa, debug_enclave_verifies_and_is_a_matter_of_policy) {
  quote_.enclave.attributes.flags |= Attributes::kDebug;
  Verification v = verification();
  EXPECT_EQ(v.reason, Reason::kOk);
  EXPECT_EQ(judge(v, {.allow_simulated = true}).reason, Reason::kDebugEnclave);
  EXPECT_TRUE(judge(v, {.allow_debug = true, .allow_simulated = true}).trusted);
}

TEST_F(HostileCa, quoting_enclave_in_debug_mode_or_of_another_product_is_refused) {
  quote_.qe.attributes.flags |= Attributes::kDebug;
  EXPECT_EQ(reason(), Reason::kQeIdentityMismatch);
  quote_.qe = qe_body();
  quote_.qe.isv_prod_id = 2;
  EXPECT_EQ(reason(), Reason::kQeIdentityMismatch);
  quote_.qe = qe_body();
  quote_.qe.misc_select = 1;
  EXPECT_EQ(reason(), Reason::kQeIdentityMismatch);
}

TEST_F(HostileCa, quoting_enclave_out_of_date_draws_the_platform_down) {
  order_.qe_levels = {{kSvn + 1, "UpToDate", order_.issued, {}}, {kSvn, "OutOfDate", order_.issued, {}}};
  EXPECT_EQ(verification().tcb_status, TcbStatus::kOutOfDate);
  order_.tcb_levels[0].status = "ConfigurationNeeded";
  EXPECT_EQ(verification().tcb_status, TcbStatus::kOutOfDateConfigurationNeeded);
}

TEST_F(HostileCa, revoked_quoting_enclave_or_platform_is_never_trusted) {
  Policy everything{{TcbStatus::kUpToDate, TcbStatus::kOutOfDate, TcbStatus::kRevoked}, true, true};
  order_.qe_levels[0].status = "Revoked";
  Verification v = verification();
  EXPECT_EQ(v.reason, Reason::kTcbRevoked);
  EXPECT_FALSE(judge(v, everything).trusted);
  order_ = collateral_order(kNow);
  order_.tcb_levels[0].status = "Revoked";
  v = verification();
  EXPECT_EQ(v.reason, Reason::kTcbRevoked);
  EXPECT_FALSE(judge(v, everything).trusted);
}

TEST_F(HostileCa, status_that_is_not_known_is_refused_where_it_matters_and_only_there) {
  order_.tcb_levels[0].status = "Splendid";
  EXPECT_EQ(reason(), Reason::kTcbUnrecognizedStatus);
  order_ = collateral_order(kNow);
  order_.qe_levels[0].status = "Splendid";
  EXPECT_EQ(reason(), Reason::kTcbUnrecognizedStatus);
  order_.qe_levels[0].status = "SWHardeningNeeded";  // of a platform, never of a QE
  EXPECT_EQ(reason(), Reason::kTcbUnrecognizedStatus);

  order_ = collateral_order(kNow);
  TcbLevel newer = order_.tcb_levels[0];
  newer.components[0] = kSvn + 1;
  newer.status = "Splendid";
  order_.tcb_levels.insert(order_.tcb_levels.begin(), newer);
  EXPECT_EQ(reason(), Reason::kOk);
}

TEST_F(HostileCa, platform_below_every_level_is_not_supported) {
  order_.tcb_levels[0].pce_svn = kSvn + 1;
  EXPECT_EQ(reason(), Reason::kTcbNotSupported);
}

TEST_F(HostileCa, two_levels_with_the_same_numbers_are_refused) {
  order_.tcb_levels.push_back(order_.tcb_levels[0]);
  order_.tcb_levels[1].status = "Revoked";
  EXPECT_EQ(reason(), Reason::kSgxTcbInfoInvalid);
  order_ = collateral_order(kNow);
  order_.qe_levels.push_back(order_.qe_levels[0]);
  EXPECT_EQ(reason(), Reason::kSgxEnclaveIdentityInvalid);
}

TEST_F(HostileCa, levels_in_any_order_give_the_same_status) {
  TcbLevel lower = order_.tcb_levels[0];
  lower.components[5] = 0;
  lower.status = "OutOfDate";
  order_.tcb_levels = {lower, order_.tcb_levels[0]};
  EXPECT_EQ(verification().tcb_status, TcbStatus::kUpToDate);
}

TEST_F(HostileCa, json_that_is_signed_but_of_the_future_is_refused) {
  order_.issued = kNow + seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxTcbInfoExpired);
  order_ = collateral_order(kNow);
  change_issued_ = [](const Ca& ca, Collateral& c) {
    resign(ca, c, &Collateral::qe_identity, [](auto& json) { json["issueDate"] = format_time(kNow + seconds(1)); });
  };
  EXPECT_EQ(reason(), Reason::kSgxEnclaveIdentityExpired);
}

TEST_F(HostileCa, json_that_is_signed_but_past_its_next_update_is_refused) {
  order_.expires = kNow - seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxTcbInfoExpired);
  order_ = collateral_order(kNow);
  change_issued_ = [](const Ca& ca, Collateral& c) {
    resign(ca, c, &Collateral::qe_identity, [](auto& json) { json["nextUpdate"] = format_time(kNow - seconds(1)); });
  };
  EXPECT_EQ(reason(), Reason::kSgxEnclaveIdentityExpired);
}

TEST_F(HostileCa, signed_json_of_another_version_kind_or_platform_is_refused) {
  auto tcb_info_with = [&](const std::function<void(nlohmann::ordered_json&)>& change) {
    change_issued_ = [=](const Ca& ca, Collateral& c) { resign(ca, c, &Collateral::tcb_info, change); };
    return reason();
  };
  auto identity_with = [&](const std::function<void(nlohmann::ordered_json&)>& change) {
    change_issued_ = [=](const Ca& ca, Collateral& c) { resign(ca, c, &Collateral::qe_identity, change); };
    return reason();
  };
  EXPECT_EQ(tcb_info_with([](auto&) {}), Reason::kOk);
  EXPECT_EQ(identity_with([](auto&) {}), Reason::kOk);
  EXPECT_EQ(tcb_info_with([](auto& j) { j["version"] = 4; }), Reason::kSgxTcbInfoUnsupportedFormat);
  EXPECT_EQ(tcb_info_with([](auto& j) { j["tcbType"] = 1; }), Reason::kSgxTcbInfoUnsupportedFormat);
  EXPECT_EQ(tcb_info_with([](auto& j) { j["id"] = "TDX"; }), Reason::kSgxTcbInfoInvalid) << "names no TDX module";
  EXPECT_EQ(tcb_info_with([](auto& j) { j["pceId"] = "0001"; }), Reason::kTcbInfoMismatch);
  EXPECT_EQ(tcb_info_with([](auto& j) { j.erase("nextUpdate"); }), Reason::kSgxTcbInfoInvalid);
  EXPECT_EQ(identity_with([](auto& j) { j["version"] = 3; }), Reason::kSgxEnclaveIdentityUnsupportedVersion);
  EXPECT_EQ(identity_with([](auto& j) { j["id"] = "TD_QE"; }), Reason::kQeIdentityMismatch);
  EXPECT_EQ(identity_with([](auto& j) { j["id"] = "QVE"; }), Reason::kQeIdentityMismatch);
  EXPECT_EQ(identity_with([](auto& j) { j.erase("mrsigner"); }), Reason::kSgxEnclaveIdentityInvalid);
}

TEST_F(HostileCa, each_certificate_outside_its_life_is_refused) {
  struct {
    CertificateOrder CaOrder::*which;
    Reason reason;
  } table[] = {{&CaOrder::root, Reason::kSgxPckCertChainExpired},
               {&CaOrder::pck_ca, Reason::kSgxPckCertChainExpired},
               {&CaOrder::pck, Reason::kSgxPckCertChainExpired},
               {&CaOrder::tcb_signing, Reason::kSgxSigningCertChainExpired}};
  for (const auto& row : table) {
    ca_order_ = ca_order(kNow);
    (ca_order_.*row.which).not_after = kNow - seconds(1);
    EXPECT_EQ(reason(), row.reason);
    ca_order_ = ca_order(kNow);
    (ca_order_.*row.which).not_before = kNow + seconds(1);
    EXPECT_EQ(reason(), row.reason) << "not valid yet";
    ca_order_ = ca_order(kNow);
    (ca_order_.*row.which).not_before = (ca_order_.*row.which).not_after = kNow;
    EXPECT_EQ(reason(), Reason::kOk) << "both ends belong to the life of a certificate";
  }
}

TEST_F(HostileCa, all_that_has_expired_is_told_at_once_and_the_first_is_the_reason) {
  order_.root_crl.next_update = order_.pck_crl.next_update = order_.expires = kNow - seconds(1);
  ca_order_.tcb_signing.not_after = kNow - seconds(1);
  auto misses = [&] {
    Verdict verdict = judge(verification(), Policy{});
    EXPECT_FALSE(verdict.trusted);
    EXPECT_EQ(verdict.reason, verdict.misses.front().reason);
    return verdict.misses;
  };
  std::vector<Reason> reasons;
  for (const Miss& miss : misses()) {
    reasons.push_back(miss.reason);
    EXPECT_NE(miss.detail.find("until 2026-11-21T09:59:59Z, not at 2026-11-21T10:00:00Z"), std::string::npos)
        << miss.detail;
  }
  EXPECT_EQ(reasons, (std::vector{Reason::kSgxCrlExpired, Reason::kSgxCrlExpired, Reason::kSgxSigningCertChainExpired,
                                  Reason::kSgxTcbInfoExpired, Reason::kSgxSigningCertChainExpired,
                                  Reason::kSgxEnclaveIdentityExpired}));

  change_issued_ = [](const Ca&, Collateral& c) { c.tcb_info_signature[0] ^= 1; };
  reasons.clear();
  for (const Miss& miss : misses()) reasons.push_back(miss.reason);
  EXPECT_EQ(reasons, (std::vector{Reason::kSgxCrlExpired, Reason::kSgxCrlExpired, Reason::kSgxSigningCertChainExpired}))
      << "what fails afterwards is not the reason";
}

TEST_F(HostileCa, crls_of_the_future_are_refused) {
  order_.root_crl.this_update = kNow + seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxCrlExpired);
  order_ = collateral_order(kNow);
  order_.pck_crl.this_update = kNow + seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxCrlExpired);
}

TEST_F(HostileCa, certificates_that_may_not_do_what_they_do_are_refused) {
  struct {
    CertificateOrder CaOrder::*which;
    const char *constraints, *usage;
    Reason reason;
  } table[] = {
      {&CaOrder::root, "critical,CA:TRUE,pathlen:0", nullptr, Reason::kSgxRootCaInvalidExtensions},
      {&CaOrder::root, nullptr, "critical,keyCertSign", Reason::kSgxRootCaInvalidExtensions},
      {&CaOrder::pck_ca, "critical,CA:FALSE", nullptr, Reason::kSgxIntermediateCaInvalidExtensions},
      {&CaOrder::pck_ca, nullptr, "critical,cRLSign", Reason::kSgxIntermediateCaInvalidExtensions},
      {&CaOrder::pck_ca, nullptr, "critical,keyCertSign", Reason::kSgxIntermediateCaInvalidExtensions},
      {&CaOrder::pck, "critical,CA:TRUE", nullptr, Reason::kSgxPckInvalidExtensions},
      {&CaOrder::pck, nullptr, "critical,nonRepudiation", Reason::kSgxPckInvalidExtensions},
      {&CaOrder::pck, nullptr, "critical,digitalSignature,keyCertSign", Reason::kSgxPckInvalidExtensions},
      {&CaOrder::tcb_signing, "critical,CA:TRUE", nullptr, Reason::kSgxTcbSigningCertInvalidExtensions},
      {&CaOrder::tcb_signing, nullptr, "critical,keyAgreement", Reason::kSgxTcbSigningCertInvalidExtensions},
  };
  for (const auto& row : table) {
    ca_order_ = ca_order(kNow);
    if (row.constraints != nullptr) (ca_order_.*row.which).basic_constraints = row.constraints;
    if (row.usage != nullptr) (ca_order_.*row.which).key_usage = row.usage;
    EXPECT_EQ(reason(), row.reason) << (ca_order_.*row.which).common_name << " "
                                    << (row.usage ? row.usage : row.constraints);
  }
}

TEST_F(HostileCa, certificates_are_known_by_their_names) {
  ca_order_.root.common_name = "SIMULATED Root";
  EXPECT_EQ(reason(), Reason::kSgxRootCaMissing);
  ca_order_ = ca_order(kNow);
  ca_order_.pck_ca.common_name = "SIMULATED SGX Intermediate";
  EXPECT_EQ(reason(), Reason::kSgxIntermediateCaMissing);
  ca_order_ = ca_order(kNow);
  ca_order_.pck.common_name = "SIMULATED SGX Certificate";
  EXPECT_EQ(reason(), Reason::kSgxPckMissing);
  ca_order_ = ca_order(kNow);
  ca_order_.tcb_signing.common_name = "SIMULATED SGX Signing";
  EXPECT_EQ(reason(), Reason::kSgxTcbSigningCertMissing);
}

TEST_F(HostileCa, pck_certificate_has_five_or_seven_sgx_items_and_no_other_number) {
  ca_order_.pck.sgx->platform.reset();
  EXPECT_EQ(reason(), Reason::kOk) << "five";
  ca_order_.pck.sgx->sgx_type = 3;
  EXPECT_EQ(reason(), Reason::kSgxPckInvalidExtensions);
  ca_order_.pck.sgx.reset();
  EXPECT_EQ(reason(), Reason::kSgxPckInvalidExtensions) << "none";
}

TEST_F(HostileCa, evidence_of_another_ca_with_the_same_names_is_refused) {
  Ca other = make_ca(ca_order(kNow)).value();
  Collateral theirs = issue_collateral(other, order_).value();
  auto with = [&](const std::function<void(Collateral&)>& change) {
    change_issued_ = [=](const Ca&, Collateral& c) { change(c); };
    return reason();
  };
  EXPECT_EQ(with([&](Collateral& c) { c.root_ca_crl = theirs.root_ca_crl; }), Reason::kSgxCrlInvalidExtensions);
  EXPECT_EQ(with([&](Collateral& c) { c.pck_crl = theirs.pck_crl; }), Reason::kSgxCrlInvalidExtensions);
  EXPECT_EQ(with([&](Collateral& c) { c.pck_crl_issuer_chain = theirs.pck_crl_issuer_chain; }),
            Reason::kSgxCaCertInvalid);
  EXPECT_EQ(with([&](Collateral& c) { c.tcb_info_issuer_chain = theirs.tcb_info_issuer_chain; }),
            Reason::kSgxTcbSigningCertChainUntrusted);
  EXPECT_EQ(with([&](Collateral& c) { c.qe_identity_issuer_chain = theirs.qe_identity_issuer_chain; }),
            Reason::kSgxTcbSigningCertChainUntrusted);
  EXPECT_EQ(with([&](Collateral& c) { c.tcb_info_signature = theirs.tcb_info_signature; }),
            Reason::kTcbInfoInvalidSignature);
}

TEST_F(HostileCa, chain_that_mixes_two_cas_with_the_same_names_is_refused) {
  Ca other = make_ca(ca_order(kNow)).value();
  Ca ca = make_ca(ca_order_).value();
  Collateral collateral = issue_collateral(ca, order_).value();
  TrustedRoot root = TrustedRoot::from_pem(ca.root.certificate).value();
  auto reason_of = [&](const Identity& pck, const Identity& pck_ca, const Identity& top) {
    std::string chain = pck.certificate + pck_ca.certificate + top.certificate;
    quote_.certification_data = Bytes(chain.begin(), chain.end());
    return verify(quote_of(ca), collateral, root, kNow).reason;
  };
  EXPECT_EQ(reason_of(ca.pck, ca.pck_ca, ca.root), Reason::kOk);
  EXPECT_EQ(reason_of(ca.pck, ca.pck_ca, other.root), Reason::kSgxIntermediateCaInvalidIssuer);
  EXPECT_EQ(reason_of(ca.pck, other.pck_ca, ca.root), Reason::kSgxIntermediateCaInvalidIssuer);
  EXPECT_EQ(reason_of(other.pck, ca.pck_ca, ca.root), Reason::kSgxPckInvalidIssuer);
  EXPECT_EQ(reason_of(other.pck, other.pck_ca, other.root), Reason::kSgxPckCertChainUntrusted);
}

TEST_F(HostileCa, tcb_signing_certificate_that_the_pck_ca_issued_is_refused) {
  change_issued_ = [&](const Ca& ca, Collateral& c) {
    c.tcb_info_issuer_chain =
        issue_certificate(ca_order_.tcb_signing, ca.tcb_signing.key, &ca.pck_ca).value() + ca.root.certificate;
  };
  EXPECT_EQ(reason(), Reason::kSgxTcbSigningCertInvalidIssuer);
}

TEST_F(HostileCa, pck_holder_cannot_sign_collateral_or_certificates) {
  change_issued_ = [&](const Ca& ca, Collateral& c) {
    c.tcb_info_issuer_chain =
        issue_certificate(ca_order_.tcb_signing, ca.pck.key, &ca.pck).value() + ca.pck.certificate;
  };
  EXPECT_EQ(reason(), Reason::kSgxRootCaMissing);
}

TEST_F(HostileCa, names_of_intel_do_not_make_a_root_trusted) {
  for (CertificateOrder* order : {&ca_order_.root, &ca_order_.pck_ca, &ca_order_.tcb_signing, &ca_order_.pck}) {
    order->common_name.replace(0, 9, "Intel");
    order->organization = "Intel Corporation";
  }
  Ca ca = make_ca(ca_order_).value();
  Bytes quote = quote_of(ca);
  Collateral collateral = issue_collateral(ca, order_).value();
  EXPECT_EQ(verify(quote, collateral, TrustedRoot::intel(), kNow).reason, Reason::kSgxPckCertChainUntrusted);

  Verification custom = verify(quote, collateral, TrustedRoot::from_pem(ca.root.certificate).value(), kNow);
  EXPECT_EQ(custom.reason, Reason::kOk);
  EXPECT_TRUE(custom.custom_root) << "never taken for Intel's";
  EXPECT_FALSE(custom.simulated);
}

TEST_F(HostileCa, simulation_is_told_even_where_it_is_refused) {
  Ca ca = make_ca(ca_order_).value();
  Verification v = verify(quote_of(ca), issue_collateral(ca, order_).value(), TrustedRoot::intel(), kNow);
  EXPECT_EQ(v.reason, Reason::kSgxPckCertChainUntrusted);
  EXPECT_TRUE(v.simulated);
  EXPECT_FALSE(v.custom_root);
}

}  // namespace
}  // namespace enclayer::sim
