// SPDX-License-Identifier: Apache-2.0
// Collateral in other people's layouts: made of real collateral, so that it has to verify.
#include "attestation/collateral_forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <map>
#include <nlohmann/json.hpp>

#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "enclayer/verify.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

const fake::QuoteCase& real() {
  static const fake::QuoteCase kReal = fake::quote_case("C_eval17");
  return kReal;
}

ordered_json layout() { return ordered_json::parse(to_json(real().collateral)); }

std::string base64(ByteView bytes) {
  std::string out(bytes.size() / 3 * 4 + 5, '\0');
  out.resize(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), int(bytes.size())));
  return out;
}
std::string crl_pem(ByteView der) { return "-----BEGIN X509 CRL-----\n" + base64(der) + "\n-----END X509 CRL-----\n"; }

std::string wrapped(const char* key, const std::string& text, const Bytes& signature) {
  return "{\"" + std::string(key) + "\":" + text + ",\"signature\":\"" + base::to_hex(signature) + "\"}";
}
std::string wrapped_tcb_info(const Collateral& c) { return wrapped("tcbInfo", c.tcb_info, c.tcb_info_signature); }
std::string wrapped_qe_identity(const Collateral& c) {
  return wrapped("enclaveIdentity", c.qe_identity, c.qe_identity_signature);
}

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-')
      out += c;
    else
      out += "%" + base::to_hex(Bytes{static_cast<std::uint8_t>(c)});
  return out;
}

std::string refusal(ByteView quote, const std::string& text) {
  auto collateral = collateral_for(quote, text);
  return collateral ? "" : collateral.error().message();
}

TEST(CollateralForms, each_part_is_read_in_each_form) {
  const Collateral& c = real().collateral;
  std::map<std::string, std::string> texts;
  auto with = [&](const char* name, auto change) {
    ordered_json json = layout();
    change(json);
    texts[name] = json.dump();
  };
  texts["as it is"] = to_json(c);
  texts["one NUL after it"] = to_json(c) + '\0';
  with("CRLs in PEM", [&](auto& j) {
    j["root_ca_crl"] = crl_pem(c.root_ca_crl);
    j["pck_crl"] = crl_pem(c.pck_crl) + '\0';
  });
  with("CRLs with a NUL", [&](auto& j) {
    j["root_ca_crl"] = base::to_hex(c.root_ca_crl) + "00";
    j["pck_crl"] = base::to_hex(c.pck_crl) + "00";
  });
  with("digits of PEM", [&](auto& j) { j["pck_crl"] = base::to_hex(base::as_bytes(crl_pem(c.pck_crl) + '\0')); });
  with("lists of numbers", [&](auto& j) {
    j["root_ca_crl"] = c.root_ca_crl;
    j["pck_crl"] = c.pck_crl;
    j["tcb_info_signature"] = c.tcb_info_signature;
    j["qe_identity_signature"] = c.qe_identity_signature;
  });
  with("signatures wrapped in", [&](auto& j) {
    j["tcb_info"] = wrapped_tcb_info(c);
    j["qe_identity"] = wrapped_qe_identity(c) + '\0';
    j.erase("tcb_info_signature");
    j.erase("qe_identity_signature");
  });
  with("signatures before what they sign", [&](auto& j) {
    auto first = [](const char* key, const std::string& text, const Bytes& signature) {
      return "{\"signature\":\"" + base::to_hex(signature) + "\",\"" + key + "\":" + text + "}";
    };
    j["tcb_info"] = first("tcbInfo", c.tcb_info, c.tcb_info_signature);
    j["qe_identity"] = first("enclaveIdentity", c.qe_identity, c.qe_identity_signature);
  });
  with("objects", [&](auto& j) {
    j["tcb_info"] = ordered_json::parse(c.tcb_info);
    j["qe_identity"] = ordered_json::parse(wrapped_qe_identity(c));
  });
  with("PEM chains with a NUL", [&](auto& j) {
    for (const char* key : {"pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"})
      j[key] = j[key].template get<std::string>() + '\0';
  });
  for (const auto& [name, text] : texts) {
    auto collateral = collateral_for(real().quote, text);
    ASSERT_TRUE(collateral) << name << ": " << collateral.error().message();
    EXPECT_EQ(collateral->root_ca_crl, c.root_ca_crl) << name;
    EXPECT_EQ(collateral->pck_crl, c.pck_crl) << name;
    EXPECT_EQ(collateral->tcb_info, c.tcb_info) << name;
    EXPECT_EQ(collateral->tcb_info_signature, c.tcb_info_signature) << name;
    EXPECT_EQ(collateral->qe_identity, c.qe_identity) << name;
    EXPECT_EQ(collateral->qe_identity_signature, c.qe_identity_signature) << name;
    EXPECT_EQ(collateral_for(real().quote, to_json(*collateral)).value(), *collateral) << name;
    EXPECT_TRUE(verify(real().quote, *collateral, TrustedRoot::intel(), real().at).verified()) << name;
  }
}

TEST(CollateralForms, one_nul_is_forgiven_and_nothing_else) {
  const Collateral& c = real().collateral;
  for (const char* more : {"0000", "01", "30"}) {
    ordered_json json = layout();
    json["pck_crl"] = base::to_hex(c.pck_crl) + more;
    auto collateral = collateral_for(real().quote, json.dump());
    ASSERT_TRUE(collateral);
    EXPECT_EQ(verify(real().quote, *collateral, TrustedRoot::intel(), real().at).reason,
              Reason::kSgxCrlUnsupportedFormat)
        << more;
  }
  for (const char* key : {"tcb_info", "qe_identity"}) {
    for (const int nuls : {1, 2}) {
      ordered_json json = layout();
      json[key] = json[key].get<std::string>() + std::string(static_cast<std::size_t>(nuls), '\0');
      EXPECT_EQ(collateral_for(real().quote, json.dump()).has_value(), nuls == 1) << key << nuls;
    }
  }
}

// What PcsClientTool writes: chains percent-encoded, TCB Info with spaces between its tokens, other platforms too.
ordered_json platform_collaterals(const fake::QuoteCase& quote_case, bool platform_ca, const char* fmspc) {
  const Collateral& c = quote_case.collateral;
  ordered_json certificates = {{"SGX-PCK-Certificate-Issuer-Chain",
                                {{platform_ca ? "PLATFORM" : "PROCESSOR", percent_encoded(c.pck_crl_issuer_chain)}}},
                               {"TCB-Info-Issuer-Chain", percent_encoded(c.tcb_info_issuer_chain)},
                               {"SGX-Enclave-Identity-Issuer-Chain", percent_encoded(c.qe_identity_issuer_chain)}};
  ordered_json tcb_info = ordered_json::parse(wrapped_tcb_info(c));
  ordered_json other = {{"fmspc", "000000000000"}, {"sgx_tcbinfo", tcb_info}, {"tdx_tcbinfo", tcb_info}};
  ordered_json own = {{"fmspc", fmspc}};
  own["sgx_tcbinfo"] = own["tdx_tcbinfo"] = tcb_info;
  return {{"platforms", ordered_json::array()},
          {"collaterals",
           {{"version", 4},
            {"pck_certs", ordered_json::array()},
            {"tcbinfos", {other, own}},
            {"pckcacrl", {{"processorCrl", crl_pem(c.pck_crl)}, {"platformCrl", crl_pem(c.pck_crl)}}},
            {"qeidentity", wrapped_qe_identity(c)},
            {"tdqeidentity", wrapped_qe_identity(c)},
            {"certificates", certificates},
            {"rootcacrl", base::to_hex(c.root_ca_crl)}}}};
}

std::string spaced(const ordered_json& json) { return json.dump(1); }

TEST(CollateralForms, platform_collaterals_of_intels_tool_are_searched_for_the_quotes_platform) {
  struct Case {
    const char *name, *fmspc;
    bool platform_ca;
  };
  for (const Case& c : {Case{"A_phala_sgx_processor", "00A067110000", false}, Case{"C_eval17", "00606a000000", true},
                        Case{"T4_phala_tdx_v4", "b0c06f000000", true}}) {
    fake::QuoteCase quote_case = fake::quote_case(c.name);
    ordered_json json = platform_collaterals(quote_case, c.platform_ca, c.fmspc);
    auto collateral = collateral_for(quote_case.quote, spaced(json));
    ASSERT_TRUE(collateral) << c.name << collateral.error().message();
    Verification v = verify(quote_case.quote, *collateral, TrustedRoot::intel(), quote_case.at);
    EXPECT_TRUE(v.verified()) << c.name << v.detail;

    // The standard edition is taken where there are both, the early one where it stands alone.
    auto verified = [&](const ordered_json& file) {
      auto found = collateral_for(quote_case.quote, spaced(file));
      return found && verify(quote_case.quote, *found, TrustedRoot::intel(), quote_case.at).verified();
    };
    ordered_json both = json, early = json;
    for (ordered_json& entry : both["collaterals"]["tcbinfos"])
      entry["sgx_tcbinfo_early"] = entry["tdx_tcbinfo_early"] = ordered_json::object();
    both["collaterals"]["qeidentity_early"] = both["collaterals"]["tdqeidentity_early"] = "{}";
    EXPECT_TRUE(verified(both)) << c.name;
    for (ordered_json& entry : early["collaterals"]["tcbinfos"]) {
      entry["sgx_tcbinfo_early"] = entry["tdx_tcbinfo_early"] = entry["sgx_tcbinfo"];
      entry["sgx_tcbinfo"] = nullptr;
      entry.erase("tdx_tcbinfo");
    }
    for (const char* key : {"qeidentity", "tdqeidentity"}) {
      early["collaterals"][std::string(key) + "_early"] = early["collaterals"][key];
      early["collaterals"][key] = "";
    }
    EXPECT_TRUE(verified(early)) << c.name;
    early["collaterals"]["qeidentity_early"] = early["collaterals"]["tdqeidentity_early"] = "";
    EXPECT_THAT(refusal(quote_case.quote, spaced(early)), HasSubstr("qeidentity\"")) << c.name;

    // Where no PCK certificates were asked for, there is no chain of theirs: the quote has it.
    json["collaterals"]["certificates"]["SGX-PCK-Certificate-Issuer-Chain"] = ordered_json::object();
    collateral = collateral_for(quote_case.quote, spaced(json));
    ASSERT_TRUE(collateral) << c.name << collateral.error().message();
    EXPECT_TRUE(verify(quote_case.quote, *collateral, TrustedRoot::intel(), quote_case.at).verified()) << c.name;
  }
}

TEST(CollateralForms, platform_collaterals_without_what_is_needed_say_so) {
  ordered_json json = platform_collaterals(real(), true, "00606a000001");
  EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr("no SGX TCB Info for FMSPC 00606a000000"));
  EXPECT_THAT(refusal(fake::quote_case("T4_phala_tdx_v4").quote, json.dump()), HasSubstr("no TDX TCB Info"));
  EXPECT_THAT(refusal({}, json.dump()), HasSubstr("quote: it ends in its header"));
  json = platform_collaterals(real(), true, "00606a000000");
  json["collaterals"]["pckcacrl"].erase("platformCrl");
  EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr("\"platformCrl\" is missing"));
  json["collaterals"].erase("pckcacrl");
  EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr("\"platformCrl\" is missing"));
  EXPECT_NE(refusal(real().quote, R"({"collaterals": []})"), "");
  EXPECT_NE(refusal(real().quote, R"({"collaterals": {}})"), "");
}

// The quote of a platform without a provider library: encrypted PPID and TCB in the place of the chain.
Bytes without_chain(const Bytes& quote) {
  Quote parsed = parse_quote(quote).value();
  const std::size_t data_at = parsed.size - parsed.certification.data.size();
  Bytes out(quote.begin(), quote.begin() + std::ptrdiff_t(data_at));
  out.resize(data_at + 404);
  base::store_le16(out.data() + data_at - 6, CertificationData::kPpidRsa3072);
  base::store_le32(out.data() + data_at - 4, 404);
  base::store_le32(out.data() + 432, static_cast<std::uint32_t>(out.size() - 436));
  return out;
}

TEST(CollateralForms, chain_beside_a_quote_that_carries_none_is_taken) {
  Quote parsed = parse_quote(real().quote).value();
  const Bytes quote = without_chain(real().quote);
  ASSERT_EQ(parse_quote(quote)->certification.type, CertificationData::kPpidRsa3072);
  EXPECT_EQ(verify(quote, real().collateral, TrustedRoot::intel(), real().at).reason, Reason::kUnsupportedCertFormat);

  ordered_json json = layout();
  json["pck_certificate_chain"] = std::string(base::as_text(parsed.certification.data));
  auto collateral = collateral_for(quote, json.dump());
  ASSERT_TRUE(collateral);
  Verification v = verify(quote, *collateral, TrustedRoot::intel(), real().at);
  EXPECT_TRUE(v.verified()) << v.detail;
  EXPECT_EQ(parse_collateral_json(to_json(*collateral)).value(), *collateral);

  // The chain of another platform has not signed this Quoting Enclave's report.
  Quote other = parse_quote(fake::quote_case("A_phala_sgx_processor").quote).value();
  json["pck_certificate_chain"] = std::string(base::as_text(other.certification.data));
  Verification refused = verify(quote, collateral_for(quote, json.dump()).value(), TrustedRoot::intel(), real().at);
  EXPECT_FALSE(refused.verified());
  // A quote's own chain counts.
  EXPECT_TRUE(
      verify(real().quote, collateral_for(quote, json.dump()).value(), TrustedRoot::intel(), real().at).verified());
}

// What would be unwrapped once more whenever it is written and read again.
TEST(CollateralForms, signed_text_is_wrapped_once) {
  const Collateral& c = real().collateral;
  ordered_json json = layout();
  json["tcb_info"] = wrapped("tcbInfo", wrapped_tcb_info(c), c.tcb_info_signature);
  EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr("\"tcbInfo\" is wrapped twice"));
}

TEST(CollateralForms, damaged_text_is_refused_and_says_where) {
  for (const char* key : {"pck_crl_issuer_chain", "root_ca_crl", "pck_crl", "tcb_info_issuer_chain", "tcb_info",
                          "tcb_info_signature", "qe_identity_issuer_chain", "qe_identity", "qe_identity_signature"}) {
    ordered_json json = layout();
    json.erase(key);
    EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr(key));
    for (ordered_json bad :
         {ordered_json(nullptr), ordered_json(7), ordered_json({256}), ordered_json({"a"}), ordered_json({1.5})}) {
      json[key] = bad;
      EXPECT_THAT(refusal(real().quote, json.dump()), HasSubstr(key)) << bad;
    }
  }
  for (const char* text : {"", "{", "[]", "{}", "null", "\"\""}) EXPECT_NE(refusal(real().quote, text), "") << text;
  std::string large = to_json(real().collateral);
  large.resize(Collateral::kMaxJsonSize + 1, '\n');
  EXPECT_THAT(refusal(real().quote, large), HasSubstr("at most 1048576"));
}

TEST(CollateralForms, crl_keeps_all_bytes_but_one_nul) {
  const Bytes& der = real().collateral.pck_crl;
  Bytes with_nul = der;
  with_nul.push_back(0);
  EXPECT_EQ(attestation::crl_in_der(with_nul).value(), der);
  with_nul.push_back(0);
  EXPECT_EQ(attestation::crl_in_der(with_nul).value(), with_nul);
  EXPECT_EQ(attestation::crl_in_der(base::as_bytes(base::to_hex(der) + '\0')).value(), der);
  EXPECT_EQ(attestation::crl_in_der(base::as_bytes(crl_pem(der) + '\0')).value(), der);
  for (std::size_t size = 0; size < der.size(); ++size)  // never read past its end
    (void)attestation::crl_in_der(ByteView(der).first(size));
}

}  // namespace
}  // namespace enclayer
