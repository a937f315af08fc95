// SPDX-License-Identifier: Apache-2.0
#include "enclayer/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "enclayer/policy.h"
#include "fake/print_reason.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

using fake::quote_case;
using fake::QuoteCase;
using std::chrono::seconds;

nlohmann::json read_json(const char* name) {
  return nlohmann::json::parse(base::read_text(fake::quote_data() / name, 1 << 20).value());
}

Verification verify(const QuoteCase& c) { return enclayer::verify(c.quote, c.collateral, TrustedRoot::intel(), c.at); }

// A as it is, for tests that break one thing in it.
const QuoteCase& a() {
  static const QuoteCase kA = quote_case("A_phala_sgx_processor");
  return kA;
}

Verification verify_a(ByteView quote) { return enclayer::verify(quote, a().collateral, TrustedRoot::intel(), a().at); }

// The bytes of A's quote that some signature or hash covers, and their lengths: header, body, signature, QE report, ...
constexpr std::size_t kCertificationData = 1052;

TEST(Verify, every_case_has_exactly_its_expected_status_reason_and_verdict) {
  auto expected = read_json("expected.json");
  std::vector<std::string> names = fake::quote_case_names();
  ASSERT_EQ(names.size(), expected.size());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(expected.contains(name));
    const auto& want = expected[name];
    Verification v = verify(quote_case(name));
    EXPECT_EQ(to_string(v.reason), want["reason"].get<std::string>()) << v.detail;
    EXPECT_EQ(v.verified(), want["accept"].get<bool>());
    EXPECT_FALSE(v.detail.empty());
    EXPECT_EQ(judge(v, Policy{}).trusted, v.tcb_status == TcbStatus::kUpToDate);
    if (!v.tcb_status) {
      EXPECT_TRUE(want["tcb_status"].is_null());
      continue;
    }
    EXPECT_EQ(to_string(*v.tcb_status), want["tcb_status"].get<std::string>());
    Verdict verdict = judge(v, Policy{{TcbStatus::kUpToDate, *v.tcb_status}, false});
    EXPECT_TRUE(verdict.trusted);
    EXPECT_EQ(to_string(verdict.reason), want["reason"].get<std::string>());
    EXPECT_FALSE(v.simulated);
    EXPECT_FALSE(v.custom_root);
  }
}

TEST(Verify, minted_cases_have_the_reasons_that_their_readme_says) {
  auto root = TrustedRoot::from_pem(base::read_text(fake::minted_data() / "root.pem", 1 << 16).value());
  ASSERT_TRUE(root) << root.error().message();
  const std::map<std::string, Reason> want = {{"M_crl_entry_crit_unknown", Reason::kSgxCrlInvalidExtensions},
                                              {"M_crl_pem", Reason::kOk},
                                              {"M_crl_trailing", Reason::kOk},
                                              {"M_inter_nameconstraint", Reason::kSgxIntermediateCaInvalidExtensions},
                                              {"M_pck_eku_server", Reason::kSgxPckInvalidExtensions},
                                              {"M_q_not_init", Reason::kUnsupportedQuoteFormat},
                                              {"M_qe_debug_mask_ignores", Reason::kQeIdentityMismatch}};
  EXPECT_EQ(base::Root(fake::minted_data()).list("cases").size(), want.size());
  for (const auto& [name, reason] : want) {
    QuoteCase c = quote_case(name, fake::minted_data());
    Verification v = enclayer::verify(c.quote, c.collateral, *root, c.at);
    EXPECT_EQ(to_string(v.reason), to_string(reason)) << name << ": " << v.detail;
  }
}

TEST(Verify, advisories_are_those_of_the_matched_levels_each_once) {
  std::map<std::string, std::vector<std::string>> want = {
      {"A_phala_sgx_processor", {"00289", "00615"}},
      {"N_trailing", {"00289", "00615"}},
      {"C_automata_sgx_platform", {"00615"}},
      {"C_eval17", {"00615"}},
      {"C_eval18", {"01079", "01103", "00657", "00767", "00615"}},
      {"F_mobilecoin_prod", {"00828", "00219", "00289", "01153", "00334", "00615"}},
      {"T4_phala_tdx_v4", {}}};
  for (auto& [name, ids] : want) {
    for (std::string& id : ids) id.insert(0, "INTEL-SA-");
    EXPECT_EQ(verify(quote_case(name)).advisory_ids, ids) << name;
  }
}

TEST(Verify, evidence_holds_exactly_within_its_window) {
  auto windows = read_json("windows.json");
  int seen = 0;
  for (const auto& [name, times] : windows.items()) {
    const auto& window = times;
    QuoteCase c = quote_case(name);
    if (!verify(c).verified()) continue;
    SCOPED_TRACE(name);
    auto time = [&](const char* key) { return *parse_time(window[key].get<std::string>().substr(0, 19) + "Z"); };
    Time from = time("valid_from"), until = time("valid_to");
    EXPECT_EQ(verify(c).earliest_expiry, until);
    auto verified_at = [&](Time at) {
      c.at = at;
      return verify(c).verified();
    };
    EXPECT_FALSE(verified_at(from - seconds(1)));
    EXPECT_TRUE(verified_at(from));
    EXPECT_TRUE(verified_at(until));
    EXPECT_FALSE(verified_at(until + seconds(1)));
    EXPECT_FALSE(verified_at(Time{}));
    EXPECT_FALSE(verified_at(Time(std::chrono::sys_days(std::chrono::year(9999) / 12 / 31))));
    ++seen;
  }
  EXPECT_EQ(seen, 6);
}

TEST(Verify, facts_of_the_platform_come_with_the_verification) {
  Verification v = verify(quote_case("C_eval18"));
  EXPECT_EQ(v.fmspc, (ByteArray<6>{0x00, 0x60, 0x6a, 0, 0, 0}));
  EXPECT_EQ(v.tcb_evaluation_number, 18U);
  ASSERT_TRUE(v.tcb_date);
  EXPECT_EQ(v.quote->report().isv_prod_id, parse_quote(quote_case("C_eval18").quote)->report().isv_prod_id);
}

TEST(Verify, the_platform_is_named_and_told_what_it_lacks) {
  Verification v = verify(quote_case("F_mobilecoin_prod"));
  ASSERT_TRUE(v.platform);
  EXPECT_EQ(v.platform->fmspc, v.fmspc);
  EXPECT_NE(v.platform->ppid, ByteArray<16>{});
  EXPECT_FALSE(v.platform->platform_instance_id) << "a Processor CA's certificate has none";
  EXPECT_EQ(v.platform->sgx_type, PlatformIdentity::SgxType::kStandard);
  // TCB Info: 22, 22 is SWHardeningNeeded since 2025-05-14; the platform's 20, 20 is OutOfDate since 21, 21 of 2024-11-13.
  const Time needed = *parse_time("2025-05-14T00:00:00Z");
  EXPECT_EQ(v.shortfalls,
            (std::vector<Shortfall>{{"SGX TCB component 1", 20, 22, needed}, {"SGX TCB component 2", 20, 22, needed}}));
  EXPECT_EQ(v.lacking_since, parse_time("2024-11-13T00:00:00Z").value());
  EXPECT_EQ(v.at, *parse_time("2025-06-25T00:00:00Z"));
  ASSERT_TRUE(v.earliest_issue);
  EXPECT_LT(*v.earliest_issue, v.at);

  Verification good = verify(quote_case("T4_phala_tdx_v4"));
  EXPECT_TRUE(good.shortfalls.empty());
  EXPECT_FALSE(good.lacking_since);
  ASSERT_TRUE(good.platform && good.platform->platform_instance_id && good.platform->smt_enabled);
}

TEST(Verify, intels_root_is_known_by_its_key_whichever_of_its_certificates_is_given) {
  for (const char* name : {"intel_root_2033.pem", "intel_root_2049.pem"}) {
    auto root = TrustedRoot::from_pem(*base::read_text(fake::quote_data() / name, 1 << 16));
    ASSERT_TRUE(root) << name;
    EXPECT_FALSE(root->custom());
    EXPECT_TRUE(enclayer::verify(a().quote, a().collateral, *root, a().at).verified()) << name;
  }
}

TEST(Verify, quote_cut_at_any_place_is_never_verified) {
  int seen = 0;
  for (const std::string& name : fake::quote_case_names()) {
    QuoteCase c = quote_case(name);
    if (!verify(c).verified()) continue;
    ++seen;
    std::size_t size = parse_quote(c.quote)->size;
    for (std::size_t length = 0; length < size; ++length) {
      Verification v = enclayer::verify(ByteView(c.quote).first(length), c.collateral, TrustedRoot::intel(), c.at);
      ASSERT_FALSE(v.verified()) << name << " " << length;
      ASSERT_EQ(v.reason, Reason::kUnsupportedQuoteFormat) << name << " " << length;
    }
    EXPECT_TRUE(enclayer::verify(ByteView(c.quote).first(size), c.collateral, TrustedRoot::intel(), c.at).verified());
  }
  EXPECT_EQ(seen, 8);
}

TEST(Verify, bytes_after_the_quote_do_not_matter) {
  Bytes longer = a().quote;
  longer.resize(longer.size() + 4096, 0xcc);
  EXPECT_TRUE(verify_a(longer).verified());
}

TEST(Verify, open_enclave_header_before_the_quote_is_skipped) {
  Bytes wrapped = {1, 0, 0, 0, 2, 0, 0, 0, 0xf8, 0x11, 0, 0, 0, 0, 0, 0};  // version, type, 4600 bytes
  wrapped.insert(wrapped.end(), a().quote.begin(), a().quote.end());
  EXPECT_TRUE(verify_a(wrapped).verified());
  ++wrapped[8];
  EXPECT_FALSE(verify_a(wrapped).verified());
}

void expect_refused_when_flipped(std::size_t byte, unsigned bit) {
  Bytes changed = a().quote;
  changed[byte] ^= static_cast<std::uint8_t>(1U << bit);
  Verification v = verify_a(changed);
  ASSERT_FALSE(v.verified()) << "byte " << byte << ", bit " << bit << " of " << +changed[byte];
}

TEST(Verify, every_flipped_bit_of_header_lengths_and_types_is_refused) {
  for (std::size_t byte = 0; byte < 48; ++byte)
    for (unsigned bit = 0; bit < 8; ++bit) expect_refused_when_flipped(byte, bit);
  for (std::size_t byte : {432, 433, 434, 435, 1012, 1013, 1046, 1047, 1048, 1049, 1050, 1051})
    for (unsigned bit = 0; bit < 8; ++bit) expect_refused_when_flipped(byte, bit);
}

TEST(Verify, flipped_bits_in_each_byte_of_signatures_and_attestation_key_are_refused) {
  for (std::size_t byte = 436; byte < 564; ++byte)
    expect_refused_when_flipped(byte, static_cast<unsigned>(byte * 3 % 8));
  for (std::size_t byte = 948; byte < 1012; ++byte)
    expect_refused_when_flipped(byte, static_cast<unsigned>(byte * 3 % 8));
  for (unsigned bit = 0; bit < 8; ++bit) expect_refused_when_flipped(436, bit);
}

TEST(Verify, flipped_bits_of_reports_authentication_data_and_certificates_are_refused) {
  std::size_t last = a().quote.size() - 1;  // a NUL after the certificates, which a blank may replace
  for (std::size_t byte = 48; byte < last; byte += 7)
    expect_refused_when_flipped(byte, static_cast<unsigned>(byte % 8));
}

TEST(Verify, lengths_that_overflow_or_lie_are_refused) {
  for (std::size_t field : {432, 1048}) {
    for (std::uint32_t value : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffffcU, 0xffffffffU}) {
      Bytes changed = a().quote;
      for (int i = 0; i < 4; ++i)
        changed[field + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> 8 * i);
      EXPECT_EQ(verify_a(changed).reason, Reason::kUnsupportedQuoteFormat) << field << " " << value;
    }
  }
  for (std::uint16_t value : {0, 31, 33, 0x7fff, 0xffff}) {
    Bytes changed = a().quote;
    changed[1012] = static_cast<std::uint8_t>(value);
    changed[1013] = static_cast<std::uint8_t>(value >> 8);
    EXPECT_EQ(verify_a(changed).reason, Reason::kUnsupportedQuoteFormat) << value;
  }
}

TEST(Verify, signature_of_zeros_is_refused) {
  Bytes changed = a().quote;
  std::fill(changed.begin() + 436, changed.begin() + 500, std::uint8_t{0});
  EXPECT_EQ(verify_a(changed).reason, Reason::kInvalidQuoteSignature);
}

// A's quote with other certification data, lengths made to fit: none of this is signed.
Bytes with_certification(std::uint16_t type, std::string_view data) {
  Bytes out(a().quote.begin(), a().quote.begin() + kCertificationData);
  auto put = [&](std::size_t at, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> 8 * i);
  };
  put(432, kCertificationData - 436 + data.size(), 4);
  put(1046, type, 2);
  put(1048, data.size(), 4);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

std::vector<std::string> pem_blocks(std::string_view chain) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----\n";
  std::vector<std::string> out;
  for (std::size_t end; (end = chain.find(kEnd)) != std::string_view::npos; chain.remove_prefix(end + kEnd.size()))
    out.emplace_back(chain.substr(0, end + kEnd.size()));
  return out;
}

std::string chain_of_a() {
  const Bytes& quote = a().quote;
  return std::string(quote.begin() + kCertificationData, quote.end() - 1);
}

TEST(Verify, chain_may_have_any_order_but_not_be_partial_or_repeat) {
  std::vector<std::string> pem = pem_blocks(chain_of_a());
  ASSERT_EQ(pem.size(), 3U);
  const std::string &leaf = pem[0], &ca = pem[1], &root = pem[2];
  auto reason = [&](const std::string& chain) { return verify_a(with_certification(5, chain)).reason; };
  Reason good = verify_a(a().quote).reason;
  EXPECT_EQ(reason(leaf + ca + root), good);
  EXPECT_EQ(reason(leaf + root + ca), good);
  EXPECT_EQ(reason(root + ca + leaf), good);
  EXPECT_EQ(reason(leaf + "\r\n \t" + ca + root + std::string("\0\0\n", 3)), good);
  EXPECT_EQ(reason(leaf + ca), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason(leaf + ca + root + root), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason(leaf + ca + ca), Reason::kSgxRootCaMissing);
  EXPECT_EQ(reason(leaf + root + root), Reason::kSgxIntermediateCaMissing);
  EXPECT_EQ(reason(ca + ca + root), Reason::kSgxPckMissing);
  EXPECT_EQ(reason("junk\n" + leaf + ca + root), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason(leaf + ca + root + "junk"), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason("junk"), Reason::kUnsupportedCertFormat);
}

TEST(Verify, chain_with_the_ca_of_another_kind_of_platform_is_refused) {
  std::vector<std::string> pem = pem_blocks(chain_of_a());
  std::vector<std::string> platform = pem_blocks(quote_case("C_automata_sgx_platform").collateral.pck_crl_issuer_chain);
  ASSERT_EQ(platform.size(), 2U);
  EXPECT_EQ(verify_a(with_certification(5, pem[0] + platform[0] + pem[2])).reason, Reason::kSgxPckInvalidIssuer);
}

TEST(Verify, certification_data_that_is_not_a_chain_or_not_of_its_type_is_refused) {
  for (std::uint16_t type : {1, 2, 3})
    EXPECT_EQ(verify_a(with_certification(type, chain_of_a())).reason, Reason::kUnsupportedQuoteFormat) << type;
  for (std::uint16_t type : {0, 6, 7, 0xffff})
    EXPECT_EQ(verify_a(with_certification(type, chain_of_a())).reason, Reason::kUnsupportedQuoteFormat) << type;
  EXPECT_EQ(verify_a(with_certification(1, std::string(36, 'x'))).reason, Reason::kUnsupportedCertFormat);
  EXPECT_EQ(verify_a(with_certification(3, std::string(404, 'x'))).reason, Reason::kUnsupportedCertFormat);
  EXPECT_EQ(verify_a(with_certification(4, chain_of_a())).reason, Reason::kUnsupportedCertFormat);
}

Reason reason_with(const std::function<void(Collateral&)>& change) {
  Collateral changed = a().collateral;
  change(changed);
  Verification v = enclayer::verify(a().quote, changed, TrustedRoot::intel(), a().at);
  return v.reason;
}

TEST(Verify, each_empty_part_of_the_collateral_is_refused_by_its_own_name) {
  EXPECT_EQ(reason_with([](Collateral& c) { c.root_ca_crl.clear(); }), Reason::kSgxCrlUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.pck_crl.clear(); }), Reason::kSgxCrlUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.pck_crl_issuer_chain.clear(); }), Reason::kSgxCaCertUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info.clear(); }), Reason::kSgxTcbInfoUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info_issuer_chain.clear(); }), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info_signature.clear(); }), Reason::kTcbInfoInvalidSignature);
  EXPECT_EQ(reason_with([](Collateral& c) { c.qe_identity.clear(); }), Reason::kSgxEnclaveIdentityUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.qe_identity_issuer_chain.clear(); }), Reason::kUnsupportedCertFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.qe_identity_signature.clear(); }),
            Reason::kSgxEnclaveIdentityInvalidSignature);
}

TEST(Verify, parts_in_each_others_places_are_refused) {
  EXPECT_EQ(reason_with([](Collateral& c) { std::swap(c.root_ca_crl, c.pck_crl); }), Reason::kSgxCrlUnknownIssuer);
  EXPECT_EQ(reason_with([](Collateral& c) { c.pck_crl_issuer_chain = c.tcb_info_issuer_chain; }),
            Reason::kSgxCaCertInvalid);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info_issuer_chain = c.pck_crl_issuer_chain; }),
            Reason::kSgxTcbSigningCertMissing);
  EXPECT_EQ(reason_with([](Collateral& c) { std::swap(c.tcb_info, c.qe_identity); }), Reason::kSgxTcbInfoInvalid);
  EXPECT_EQ(reason_with([](Collateral& c) { std::swap(c.tcb_info_signature, c.qe_identity_signature); }),
            Reason::kTcbInfoInvalidSignature);
}

TEST(Verify, issuer_chain_of_another_ca_is_refused_though_intels_root_signed_it) {
  Collateral platform = quote_case("C_automata_sgx_platform").collateral;
  EXPECT_EQ(reason_with([&](Collateral& c) { c.pck_crl_issuer_chain = platform.pck_crl_issuer_chain; }),
            Reason::kSgxCrlUnknownIssuer);
}

TEST(Verify, tcb_info_of_another_platform_is_a_mismatch) {
  // TCB Info of F in the collateral of A: both hold at A's time.
  Collateral f = quote_case("F_mobilecoin_prod").collateral;
  EXPECT_EQ(reason_with([&](Collateral& c) {
              c.tcb_info = f.tcb_info;
              c.tcb_info_signature = f.tcb_info_signature;
            }),
            Reason::kTcbInfoMismatch);
}

TEST(Verify, parts_of_a_tds_platform_are_told_each_with_its_level) {
  Verification v = verify(quote_case("T4_phala_tdx_v4"));
  ASSERT_TRUE(v.tcb) << v.detail;
  EXPECT_FALSE(v.current_tcb) << "TDX 1.0 does not say which module runs now";
  const Time level = *parse_time("2024-03-13T00:00:00Z");
  const TcbPart good{TcbStatus::kUpToDate, level, {}};
  EXPECT_TRUE((*v.tcb == TcbEvaluation{good, good, good, TcbStatus::kUpToDate}));
  EXPECT_EQ(v.tcb_date, level);
  EXPECT_EQ(v.detail,
            "platform TCB level of 2024-03-13 is UpToDate, QE with ISVSVN 6 is UpToDate, TDX module 1.6 is UpToDate");
  Verification sgx = verify(a());
  ASSERT_TRUE(sgx.tcb);
  EXPECT_FALSE(sgx.tcb->tdx_module);
  EXPECT_EQ(sgx.tcb->status, sgx.tcb_status);
  EXPECT_EQ(sgx.tcb->advisory_ids(), sgx.advisory_ids);
  EXPECT_EQ(sgx.tcb->date(), std::min(sgx.tcb->platform.date, sgx.tcb->qe.date));
}

TEST(Verify, every_flipped_bit_of_a_tds_quote_before_its_certificates_is_refused) {
  QuoteCase td = quote_case("T4_phala_tdx_v4");
  constexpr std::size_t kCertificates = 1258;
  ASSERT_EQ(base::as_text(td.quote).find("-----BEGIN"), kCertificates);
  for (std::size_t bit = 0; bit < kCertificates * 8; bit += 3) {
    td.quote[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    ASSERT_FALSE(verify(td).verified()) << "bit " << bit % 8 << " of byte " << bit / 8;
    td.quote[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
  }
  EXPECT_TRUE(verify(td).verified());
}

TEST(Verify, collateral_for_sgx_does_not_fit_a_td) {
  QuoteCase td = quote_case("T4_phala_tdx_v4");
  const Collateral tdx = td.collateral;
  QuoteCase eval18 = quote_case("C_eval18");  // in force at the same time
  td.collateral.tcb_info = eval18.collateral.tcb_info;
  td.collateral.tcb_info_signature = eval18.collateral.tcb_info_signature;
  EXPECT_EQ(verify(td).reason, Reason::kTcbInfoMismatch);
  td.collateral = tdx;
  td.collateral.qe_identity = eval18.collateral.qe_identity;
  td.collateral.qe_identity_signature = eval18.collateral.qe_identity_signature;
  EXPECT_EQ(verify(td).reason, Reason::kQeIdentityMismatch);
}

TEST(Verify, collateral_for_tdx_does_not_fit_an_sgx_quote) {
  Collateral tdx = quote_case("T4_phala_tdx_v4").collateral;
  EXPECT_EQ(reason_with([&](Collateral& c) {
              c.tcb_info = tdx.tcb_info;
              c.tcb_info_signature = tdx.tcb_info_signature;
            }),
            Reason::kTcbInfoMismatch);
  EXPECT_EQ(reason_with([&](Collateral& c) {
              c.qe_identity = tdx.qe_identity;
              c.qe_identity_signature = tdx.qe_identity_signature;
            }),
            Reason::kQeIdentityMismatch);
}

TEST(Verify, pretty_printed_json_still_carries_its_signature_but_reordered_json_does_not) {
  Reason good = verify_a(a().quote).reason;
  auto pretty = [](std::string& text) { text = nlohmann::ordered_json::parse(text).dump(4); };
  EXPECT_EQ(reason_with([&](Collateral& c) {
              pretty(c.tcb_info);
              pretty(c.qe_identity);
            }),
            good);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info = nlohmann::json::parse(c.tcb_info).dump(); }),
            Reason::kTcbInfoInvalidSignature);
}

TEST(Verify, hostile_json_is_refused_before_it_costs_anything) {
  std::string twice = a().collateral.tcb_info;
  twice.insert(1, "\"fmspc\":\"000000000000\",");
  EXPECT_EQ(reason_with([&](Collateral& c) { c.tcb_info = twice; }), Reason::kSgxTcbInfoUnsupportedFormat);
  EXPECT_EQ(reason_with([](Collateral& c) { c.tcb_info = std::string(500'000, '['); }),
            Reason::kSgxTcbInfoUnsupportedFormat);
  std::string large = "{\"id\":\"";
  large.append(10'000'000, 'x') += "\"}";
  EXPECT_EQ(reason_with([&](Collateral& c) { c.qe_identity = large; }), Reason::kSgxEnclaveIdentityUnsupportedFormat);
}

TEST(Verify, flipped_bits_of_lists_signatures_and_signed_json_are_refused) {
  auto refused = [](auto member, std::size_t stride) {
    for (std::size_t i = 0; i < (a().collateral.*member).size(); i += stride) {
      Reason reason = reason_with([&](Collateral& c) {
        auto& byte = (c.*member)[i];
        byte = static_cast<std::remove_reference_t<decltype(byte)>>(byte ^ (1 << i % 7));
      });
      ASSERT_NE(reason, Reason::kTcbConfigurationAndSwHardeningNeeded) << "byte " << i;
    }
  };
  refused(&Collateral::root_ca_crl, 3);
  refused(&Collateral::pck_crl, 5);
  refused(&Collateral::tcb_info_signature, 1);
  refused(&Collateral::qe_identity_signature, 1);
  refused(&Collateral::tcb_info, 41);
  refused(&Collateral::qe_identity, 13);
}

TEST(Verify, the_same_input_gives_the_same_answer) {
  Verification first = verify(a()), second = verify(a());
  EXPECT_EQ(first.reason, second.reason);
  EXPECT_EQ(first.detail, second.detail);
  EXPECT_EQ(first.earliest_expiry, second.earliest_expiry);
}

}  // namespace
}  // namespace enclayer
