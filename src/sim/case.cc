// SPDX-License-Identifier: Apache-2.0
#include "sim/case.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "sim/case_verbs.h"

namespace enclayer::sim {
namespace {

using namespace verbs;

std::vector<Case> statuses() {
  return {
      good("up-to-date", "the good platform: Platform CA, seven SGX items, everything up to date", {}),
      accepted("sw-hardening-needed", "its TCB level is SWHardeningNeeded", Status::kSwHardeningNeeded,
               Reason::kTcbSwHardeningNeeded, ordered([](Order& o) { platform_is(o, "SWHardeningNeeded"); }),
               {kAdvisory}),
      accepted("configuration-needed", "its TCB level is ConfigurationNeeded", Status::kConfigurationNeeded,
               Reason::kTcbConfigurationNeeded, ordered([](Order& o) { platform_is(o, "ConfigurationNeeded"); }),
               {kAdvisory}),
      accepted("configuration-and-sw-hardening-needed", "its TCB level is ConfigurationAndSWHardeningNeeded",
               Status::kConfigurationAndSwHardeningNeeded, Reason::kTcbConfigurationAndSwHardeningNeeded,
               ordered([](Order& o) { platform_is(o, "ConfigurationAndSWHardeningNeeded"); }), {kAdvisory}),
      accepted("out-of-date", "it is behind the newest TCB level in its first component; its own is OutOfDate",
               Status::kOutOfDate, Reason::kTcbOutOfDate, ordered([](Order& o) { platform_is_behind(o, "OutOfDate"); }),
               {kAdvisory}),
      accepted("out-of-date-by-the-last-component", "it is behind the newest TCB level in its 16th component only",
               Status::kOutOfDate, Reason::kTcbOutOfDate,
               ordered([](Order& o) { newer_level(o, "OutOfDate").components[15] = kNewSvn; }), {kAdvisory}),
      accepted("out-of-date-ahead-and-behind",
               "it is ahead of the newest TCB level in its first component, behind it in its 16th", Status::kOutOfDate,
               Reason::kTcbOutOfDate, ordered([](Order& o) {
                 TcbLevel& newest = newer_level(o, "OutOfDate");
                 newest.components[0] = kSvn - 1;
                 newest.components[15] = kNewSvn;
               }),
               {kAdvisory}),
      accepted("out-of-date-by-pcesvn", "it is behind the newest TCB level in its PCESVN only", Status::kOutOfDate,
               Reason::kTcbOutOfDate, ordered([](Order& o) { newer_level(o, "OutOfDate").pce_svn = kNewSvn; }),
               {kAdvisory}),
      accepted("out-of-date-but-for-cpusvn",
               "it is behind the newest TCB level in its first component; its CPUSVN is not", Status::kOutOfDate,
               Reason::kTcbOutOfDate, ordered([](Order& o) {
                 platform_is_behind(o, "OutOfDate");
                 o.ca.pck.sgx->cpu_svn.fill(0xff);
               }),
               {kAdvisory}),
      accepted("out-of-date-configuration-needed",
               "it is behind the newest TCB level; its own is OutOfDateConfigurationNeeded",
               Status::kOutOfDateConfigurationNeeded, Reason::kTcbOutOfDateConfigurationNeeded,
               ordered([](Order& o) { platform_is_behind(o, "OutOfDateConfigurationNeeded"); }), {kAdvisory}),
      accepted("tcb-revoked", "it is behind the newest TCB level; its own is Revoked", Status::kRevoked,
               Reason::kTcbRevoked, ordered([](Order& o) { platform_is_behind(o, "Revoked"); }), {kAdvisory}),
      accepted("qe-out-of-date", "its Quoting Enclave's level is OutOfDate, the platform's UpToDate",
               Status::kOutOfDate, Reason::kTcbOutOfDate, ordered([](Order& o) { qe_is(o, "OutOfDate"); }),
               {kQeAdvisory}),
      accepted("qe-out-of-date-hardening", "its Quoting Enclave's level is OutOfDate, the platform's SWHardeningNeeded",
               Status::kOutOfDate, Reason::kTcbOutOfDate, ordered([](Order& o) {
                 platform_is(o, "SWHardeningNeeded");
                 qe_is(o, "OutOfDate");
               }),
               {kAdvisory, kQeAdvisory}),
      accepted("qe-out-of-date-configuration",
               "its Quoting Enclave's level is OutOfDate, the platform's ConfigurationNeeded",
               Status::kOutOfDateConfigurationNeeded, Reason::kTcbOutOfDateConfigurationNeeded, ordered([](Order& o) {
                 platform_is(o, "ConfigurationNeeded");
                 qe_is(o, "OutOfDate");
               }),
               {kAdvisory, kQeAdvisory}),
      accepted("qe-revoked", "its Quoting Enclave's level is Revoked, the platform's UpToDate", Status::kRevoked,
               Reason::kTcbRevoked, ordered([](Order& o) { qe_is(o, "Revoked"); }), {kQeAdvisory}),
      accepted("debug-enclave", "the enclave has the DEBUG attribute", Status::kUpToDate, Reason::kDebugEnclave,
               ordered([](Order& o) { o.quote.enclave.attributes.flags |= Attributes::kDebug; })),
      with_evaluation_number(
          16, good("evaluation-number-low", "TCB Info has tcbEvaluationDataNumber 16, QE Identity 17: 16 counts",
                   tcb_info_with([](Json& json) { json["tcbEvaluationDataNumber"] = 16; }))),
  };
}

std::vector<Case> unusual_but_good() {
  return {
      good("processor-ca", "Processor CA: five SGX items, SGX type 0", ordered(processor_ca)),
      good("platform-ca-integrity", "SGX type 2 (scalable with integrity), all of its configuration FALSE",
           ordered([](Order& o) {
             SgxExtension& sgx = *o.ca.pck.sgx;
             sgx.sgx_type = 2;
             sgx.platform->dynamic_platform = sgx.platform->cached_keys = sgx.platform->smt_enabled = false;
           })),
      good("quote-v4", "the quote has version 4", ordered([](Order& o) { o.quote.version = 4; })),
      good("quote-v5", "the quote has version 5", ordered([](Order& o) { o.quote.version = 5; })),
      good("open-enclave-header", "Open Enclave's 16 bytes stand before the quote", on_its_way([](Bytes& quote) {
             ByteArray<16> header{1, 0, 0, 0, 2};
             base::store_le64(header.data() + 8, quote.size());
             quote.insert(quote.begin(), header.begin(), header.end());
           })),
      good("trailing-bytes", "16 zero bytes follow the quote in its file",
           on_its_way([](Bytes& quote) { quote.resize(quote.size() + 16); })),
      good("chain-ends-in-nul", "a NUL follows the PCK chain and is counted in its size",
           chain_of([](const Ca& ca) { return ca.pck_chain() + '\0'; })),
      good("chain-root-second", "the PCK chain's order is leaf, root, intermediate",
           chain_of([](const Ca& ca) { return ca.pck.certificate + ca.root.certificate + ca.pck_ca.certificate; })),
      good("auth-data-empty", "the QE's authentication data has 0 bytes, not 32",
           ordered([](Order& o) { o.quote.auth_data.clear(); })),
      good("auth-data-long", "the QE's authentication data has 1,000 bytes, not 32",
           ordered([](Order& o) { o.quote.auth_data.assign(1000, 0x41); })),
      good("root-issued-twice", "the root to trust is another certificate of the key that the chains end at",
           issued([](Order& o, const Ca& ca, Evidence& made) -> Result<> {
             o.ca.root.not_after += days(365);
             ENCLAYER_TRY(made.root, issue_certificate(o.ca.root, ca.root.key, nullptr));
             return {};
           })),
      good("tcb-info-v2", "TCB Info has version 2: no id, components by name", tcb_info_with([](Json& json) {
             json.erase("id");
             json["version"] = 2;
             for (Json& level : json["tcbLevels"]) {
               Json tcb;
               int number = 1;
               for (const Json& component : level["tcb"]["sgxtcbcomponents"]) {
                 std::string digits = (number < 10 ? "0" : "") + std::to_string(number);
                 tcb["sgxtcbcomp" + digits + "svn"] = component["svn"];
                 ++number;
               }
               tcb["pcesvn"] = level["tcb"]["pcesvn"];
               level["tcb"] = tcb;
             }
           })),
      good("json-pretty-printed", "TCB Info and QE Identity were indented after they were signed",
           issued([](Order&, const Ca&, Evidence& made) -> Result<> {
             for (auto text : {&Collateral::tcb_info, &Collateral::qe_identity})
               made.collateral.*text = Json::parse(made.collateral.*text).dump(2);
             return {};
           })),
      good("fmspc-upper-case", "TCB Info writes the FMSPC in upper-case digits",
           ordered([](Order& o) { o.collateral.fmspc = "53494D554C41"; })),
      good("tcb-levels-oldest-first", "TCB Info lists an OutOfDate level before the one that the platform has",
           ordered([](Order& o) {
             TcbLevel old = o.collateral.tcb_levels[0];
             old.components[5] = 0;
             old.status = "OutOfDate";
             o.collateral.tcb_levels.insert(o.collateral.tcb_levels.begin(), old);
           })),
      good("newer-level-with-unknown-status",
           "a TCB level that the platform does not reach has a status that nobody knows", ordered([](Order& o) {
             TcbLevel& newest = newer_level(o, "UpToDate");
             newest.components[0] = kNewSvn;
             newest.status = "Splendid";
             o.collateral.tcb_levels[1].advisory_ids.clear();
           })),
      good("qe-attributes-masked", "the QE differs from QE Identity where the masks say that it may: XFRM",
           ordered([](Order& o) { o.quote.qe.attributes.xfrm = 0xe7; })),
      good("qe-newer", "the QE's ISVSVN is above every level of QE Identity",
           ordered([](Order& o) { o.quote.qe.isv_svn = kNewSvn; })),
      good("others-revoked", "both CRLs revoke serial numbers that are not in use here", ordered([](Order& o) {
             o.collateral.root_crl.revoked = serials(3);
             o.collateral.pck_crl.revoked = serials(3);
           })),
      good("crl-long", "the PCK CRL revokes 2,000 other certificates",
           ordered([](Order& o) { o.collateral.pck_crl.revoked = serials(2000); })),
      good("first-second", "certificates, CRLs, TCB Info and QE Identity begin at the very second of the judgement",
           ordered([](Order& o) {
             for (CertificateOrder* c : {&o.ca.root, &o.ca.pck_ca, &o.ca.tcb_signing, &o.ca.pck}) c->not_before = o.at;
             o.collateral.issued = o.at;
             o.collateral.root_crl.this_update = o.collateral.pck_crl.this_update = o.at;
           })),
      good("last-second", "certificates, CRLs, TCB Info and QE Identity end at the very second of the judgement",
           ordered([](Order& o) {
             for (CertificateOrder* c : {&o.ca.root, &o.ca.pck_ca, &o.ca.tcb_signing, &o.ca.pck}) c->not_after = o.at;
             o.collateral.expires = o.at;
             o.collateral.root_crl.next_update = o.collateral.pck_crl.next_update = o.at;
           })),
  };
}

std::vector<Case> formats() {
  return {
      refused("tdx-quote-v4", "the quote is of a TDX trust domain, version 4, the collateral for SGX",
              Reason::kTcbInfoMismatch, ordered([](Order& o) {
                o.quote.version = 4;
                o.quote.td.emplace();
              })),
      refused("tdx-quote-v5", "the quote is of a TDX 1.5 trust domain, version 5, the collateral for SGX",
              Reason::kTcbInfoMismatch, ordered([](Order& o) {
                o.quote.version = 5;
                o.quote.td.emplace().tdx15.emplace();
              })),
      refused("certification-type-1", "certification data of type 1 (PPID), no chain", Reason::kUnsupportedCertFormat,
              certified_by(CertificationData::kPpidClear, 36)),
      refused("certification-type-2", "certification data of type 2 (PPID, RSA-2048), no chain",
              Reason::kUnsupportedCertFormat, certified_by(CertificationData::kPpidRsa2048, 276)),
      refused("certification-type-3", "certification data of type 3 (PPID, RSA-3072), no chain",
              Reason::kUnsupportedCertFormat, certified_by(CertificationData::kPpidRsa3072, 404)),
      refused("certification-type-4", "certification data of type 4 (the PCK certificate alone)",
              Reason::kUnsupportedCertFormat, issued([](Order& o, const Ca& ca, Evidence&) -> Result<> {
                o.quote.certification_type = CertificationData::kPckLeaf;
                o.quote.certification_data = bytes_of(ca.pck.certificate);
                return {};
              })),
      refused("chain-called-type-1", "the PCK chain is labelled as certification data of type 1",
              Reason::kUnsupportedQuoteFormat,
              ordered([](Order& o) { o.quote.certification_type = CertificationData::kPpidClear; })),
      refused("certification-type-6-in-v3", "version 3 with certification data of type 6",
              Reason::kUnsupportedQuoteFormat,
              ordered([](Order& o) { o.quote.certification_type = CertificationData::kQeReportCertification; })),
      refused("quote-v6", "the quote has version 6", Reason::kUnsupportedQuoteFormat,
              ordered([](Order& o) { o.quote.version = 6; })),
      refused("key-type-p384", "the quote says that its key is on P-384", Reason::kUnsupportedQuoteFormat,
              ordered([](Order& o) { o.quote.att_key_type = 3; })),
      refused("other-vendor", "the quote says that its QE is not Intel's", Reason::kUnsupportedQuoteFormat,
              ordered([](Order& o) { o.quote.vendor_id.fill(0x51); })),
      refused("truncated", "the last byte of the quote is missing", Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { quote.pop_back(); })),
      refused("header-only", "the quote ends after its header", Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { quote.resize(QuoteHeader::kSize); })),
      refused("signature-size-overflow", "the size of the signature data is 4,294,967,295",
              Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { base::store_le32(quote.data() + kQuoteSignatureSize, 0xffffffff); })),
      refused("signature-size-zero", "the size of the signature data is 0", Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { base::store_le32(quote.data() + kQuoteSignatureSize, 0); })),
      refused("auth-size-overflow", "the size of the QE's authentication data is 65,535, which is not there",
              Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { base::store_le16(quote.data() + kQuoteAuthSize, 0xffff); })),
      refused("certification-size-overflow", "the size of the certification data is 4,294,967,295",
              Reason::kUnsupportedQuoteFormat,
              on_its_way([](Bytes& quote) { base::store_le32(quote.data() + kQuoteCertificationSize, 0xffffffff); })),
  };
}

std::vector<Case> signatures() {
  return {
      refused("tampered-header", "one bit of the header's user data was changed", Reason::kInvalidQuoteSignature,
              bit_changed(kQuoteUserData)),
      refused("tampered-mrenclave", "one bit of MRENCLAVE was changed", Reason::kInvalidQuoteSignature,
              bit_changed(kQuoteMrEnclave)),
      refused("tampered-report-data", "one bit of the enclave's report data was changed",
              Reason::kInvalidQuoteSignature, bit_changed(kQuoteReportData)),
      refused("tampered-signature", "one bit of the quote's signature was changed", Reason::kInvalidQuoteSignature,
              bit_changed(kQuoteSignature)),
      refused("zero-signature", "r and s of the quote's signature are zero", Reason::kInvalidQuoteSignature,
              on_its_way([](Bytes& quote) { std::fill_n(quote.begin() + kQuoteSignature, 64, 0); })),
      refused("key-certified-but-not-used", "the PCK vouches for another attestation key than the one that signed",
              Reason::kInvalidQuoteSignature, issued([](Order& o, const Ca&, Evidence&) -> Result<> {
                ENCLAYER_TRY(SigningKey other, SigningKey::generate());
                o.quote.attestation_key = other.public_key();
                return {};
              })),
      refused("key-off-the-curve", "the PCK vouches for an attestation key that is no point of P-256",
              Reason::kInvalidQuoteSignature, ordered([](Order& o) { o.quote.attestation_key.emplace().fill(0x51); })),
      refused("key-replaced",
              "somebody signed the quote with a key of their own, and put it beside a QE report that is good",
              Reason::kInvalidQeReportData,
              {nullptr, nullptr,
               [](Bytes& quote) -> Result<> {
                 ENCLAYER_TRY(SigningKey own, SigningKey::generate());
                 ENCLAYER_TRY(auto signature, own.sign(ByteView(quote).first(kQuoteSignatureSize)));
                 std::ranges::copy(signature, quote.begin() + kQuoteSignature);
                 std::ranges::copy(own.public_key(), quote.begin() + kQuoteAttestationKey);
                 return {};
               }}),
      refused("tampered-auth-data", "one bit of the QE's authentication data was changed", Reason::kInvalidQeReportData,
              bit_changed(kQuoteAuthData)),
      refused("qe-report-data-longer", "the last of the 32 zero bytes of the QE's report data is 1",
              Reason::kInvalidQeReportData, ordered([](Order& o) { o.quote.qe_report_data_end = 1; })),
      refused("tampered-qe-report", "one bit of the QE's report was changed", Reason::kInvalidQeReportSignature,
              bit_changed(kQuoteQeReport)),
      refused("tampered-qe-signature", "one bit of the QE report's signature was changed",
              Reason::kInvalidQeReportSignature, bit_changed(kQuoteQeSignature)),
      refused("other-platforms-pck", "the quote carries the chain of another platform of the same CA",
              Reason::kInvalidQeReportSignature, issued([](Order& o, const Ca& ca, Evidence&) -> Result<> {
                ENCLAYER_TRY(SigningKey other, SigningKey::generate());
                CertificateOrder order = ca_order(o.at).pck;
                ENCLAYER_TRY(std::string pck, issue_certificate(order, other, &ca.pck_ca));
                o.quote.certification_data = bytes_of(pck + ca.pck_ca.certificate + ca.root.certificate);
                return {};
              })),
  };
}

std::vector<Case> certificates() {
  return {
      refused("wrong-root", "the root to trust is another simulation's, of the same name",
              Reason::kSgxPckCertChainUntrusted, issued([](Order& o, const Ca&, Evidence& made) -> Result<> {
                ENCLAYER_TRY(Ca other, namesake(o));
                made.root = other.root.certificate;
                return {};
              })),
      refused("chain-empty", "the PCK chain has no bytes", Reason::kUnsupportedCertFormat,
              chain_of([](const Ca&) { return std::string(); })),
      refused("chain-without-root", "the root is missing from the PCK chain", Reason::kUnsupportedCertFormat,
              chain_of([](const Ca& ca) { return ca.pck.certificate + ca.pck_ca.certificate; })),
      refused("chain-of-four", "the PCK chain has the TCB signing certificate as a fourth one",
              Reason::kUnsupportedCertFormat,
              chain_of([](const Ca& ca) { return ca.pck_chain() + ca.tcb_signing.certificate; })),
      refused("chain-with-junk", "a sentence stands between two certificates of the PCK chain",
              Reason::kUnsupportedCertFormat, chain_of([](const Ca& ca) {
                return ca.pck.certificate + "SIMULATED junk\n" + ca.pck_ca.certificate + ca.root.certificate;
              })),
      refused("chain-base64-broken", "a character of the PCK certificate's base64 is \"*\"",
              Reason::kUnsupportedCertFormat, chain_of([](const Ca& ca) {
                std::string chain = ca.pck_chain();
                chain[100] = '*';
                return chain;
              })),
      refused("pck-of-a-namesake", "the PCK certificate is signed by another CA with the same name",
              Reason::kSgxPckInvalidIssuer, issued([](Order& o, const Ca& ca, Evidence&) -> Result<> {
                ENCLAYER_TRY(Ca other, namesake(o));
                ENCLAYER_TRY(std::string pck, issue_certificate(o.ca.pck, ca.pck.key, &other.pck_ca));
                o.quote.certification_data = bytes_of(pck + ca.pck_ca.certificate + ca.root.certificate);
                return {};
              })),
      refused("intermediate-of-a-namesake", "the intermediate CA is signed by another root with the same name",
              Reason::kSgxIntermediateCaInvalidIssuer, issued([](Order& o, const Ca& ca, Evidence&) -> Result<> {
                ENCLAYER_TRY(Ca other, namesake(o));
                ENCLAYER_TRY(std::string pck_ca, issue_certificate(o.ca.pck_ca, ca.pck_ca.key, &other.root));
                o.quote.certification_data = bytes_of(ca.pck.certificate + pck_ca + ca.root.certificate);
                return {};
              })),
      refused("pck-without-sgx-extension", "the PCK certificate has no SGX extension", Reason::kSgxPckInvalidExtensions,
              ordered([](Order& o) { o.ca.pck.sgx.reset(); })),
      refused("pck-with-six-items", "the PCK certificate's SGX extension has six items, neither five nor seven",
              Reason::kSgxPckInvalidExtensions,
              ordered([](Order& o) { o.ca.pck.sgx->platform->has_configuration = false; })),
      refused("pck-sgx-type-unknown", "the PCK certificate's SGX type is 3", Reason::kSgxPckInvalidExtensions,
              ordered([](Order& o) { o.ca.pck.sgx->sgx_type = 3; })),
      refused("pck-other-name", "the PCK certificate is not called SGX PCK Certificate", Reason::kSgxPckMissing,
              ordered([](Order& o) { o.ca.pck.common_name = "SIMULATED SGX Certificate"; })),
  };
}

std::vector<Case> certificate_lives() {
  std::vector<Case> out;
  struct {
    const char *name, *what;
    CertificateOrder CaOrder::*which;
    Reason reason;
  } const lives[] = {
      {"root", "root certificate", &CaOrder::root, Reason::kSgxPckCertChainExpired},
      {"intermediate", "intermediate CA's certificate", &CaOrder::pck_ca, Reason::kSgxPckCertChainExpired},
      {"pck", "PCK certificate", &CaOrder::pck, Reason::kSgxPckCertChainExpired},
      {"tcb-signing", "TCB signing certificate", &CaOrder::tcb_signing, Reason::kSgxSigningCertChainExpired}};
  for (const auto& row : lives) {
    auto which = row.which;
    out.push_back(refused(std::string(row.name) + "-expired",
                          std::string("the ") + row.what + " has expired a second ago", row.reason,
                          ordered([which](Order& o) { (o.ca.*which).not_after = o.at - seconds(1); })));
    out.push_back(refused(std::string(row.name) + "-not-yet-valid",
                          std::string("the ") + row.what + " is valid from the next second on", row.reason,
                          ordered([which](Order& o) { (o.ca.*which).not_before = o.at + seconds(1); })));
  }
  return out;
}

std::vector<Case> certificate_powers() {
  std::vector<Case> out;
  struct {
    const char *name, *what;
    CertificateOrder CaOrder::*which;
    const char *constraints, *usage;
    Reason reason;
  } const powers[] = {
      {"root-without-crl-signing", "the root's key usage lacks cRLSign", &CaOrder::root, nullptr,
       "critical,keyCertSign", Reason::kSgxRootCaInvalidExtensions},
      {"intermediate-not-a-ca", "the intermediate's basic constraints say CA:FALSE", &CaOrder::pck_ca,
       "critical,CA:FALSE", nullptr, Reason::kSgxIntermediateCaInvalidExtensions},
      {"intermediate-key-usage", "the intermediate's key usage lacks keyCertSign", &CaOrder::pck_ca, nullptr,
       "critical,cRLSign", Reason::kSgxIntermediateCaInvalidExtensions},
      {"pck-is-a-ca", "the PCK certificate's basic constraints say CA:TRUE", &CaOrder::pck, "critical,CA:TRUE", nullptr,
       Reason::kSgxPckInvalidExtensions},
      {"pck-key-usage", "the PCK certificate's key usage lacks digitalSignature", &CaOrder::pck, nullptr,
       "critical,nonRepudiation", Reason::kSgxPckInvalidExtensions},
      {"tcb-signing-is-a-ca", "the TCB signing certificate's basic constraints say CA:TRUE", &CaOrder::tcb_signing,
       "critical,CA:TRUE", nullptr, Reason::kSgxTcbSigningCertInvalidExtensions},
      {"tcb-signing-key-usage", "the TCB signing certificate's key usage lacks digitalSignature", &CaOrder::tcb_signing,
       nullptr, "critical,keyAgreement", Reason::kSgxTcbSigningCertInvalidExtensions},
  };
  for (const auto& row : powers)
    out.push_back(refused(row.name, row.what, row.reason,
                          ordered([which = row.which, constraints = row.constraints, usage = row.usage](Order& o) {
                            if (constraints != nullptr) (o.ca.*which).basic_constraints = constraints;
                            if (usage != nullptr) (o.ca.*which).key_usage = usage;
                          })));
  return out;
}

std::vector<Case> revocation() {
  return {
      refused("pck-revoked", "the PCK CRL has the PCK certificate between two others", Reason::kSgxPckRevoked,
              ordered([](Order& o) {
                o.collateral.pck_crl.revoked = {random_serial(), o.ca.pck.serial, random_serial()};
              })),
      refused("intermediate-revoked", "the root CRL has the intermediate CA", Reason::kSgxIntermediateCaRevoked,
              ordered([](Order& o) { o.collateral.root_crl.revoked = {o.ca.pck_ca.serial}; })),
      refused("tcb-signing-revoked", "the root CRL has the TCB signing certificate", Reason::kSgxTcbSigningCertRevoked,
              ordered([](Order& o) { o.collateral.root_crl.revoked = {o.ca.tcb_signing.serial}; })),
      refused("crl-issuer-chain-of-another-root",
              "the PCK CRL's issuer chain is another simulation's, of the same names", Reason::kSgxCaCertInvalid,
              issued([](Order& o, const Ca&, Evidence& made) -> Result<> {
                ENCLAYER_TRY(Ca other, namesake(o));
                made.collateral.pck_crl_issuer_chain = other.pck_ca.certificate + other.root.certificate;
                return {};
              })),
      refused("pck-crl-of-another-ca", "the PCK CRL is that of the Processor CA, the PCK is the Platform CA's",
              Reason::kSgxCrlUnknownIssuer, issued([](Order& o, const Ca& ca, Evidence& made) -> Result<> {
                CertificateOrder order = o.ca.pck_ca;
                order.common_name = "SIMULATED SGX PCK Processor CA";
                order.serial = random_serial();
                ENCLAYER_TRY(SigningKey key, SigningKey::generate());
                ENCLAYER_TRY(std::string certificate, issue_certificate(order, key, &ca.root));
                Identity processor_ca{std::move(key), std::move(certificate)};
                ENCLAYER_TRY(made.collateral.pck_crl, issue_crl(o.collateral.pck_crl, processor_ca));
                return {};
              })),
  };
}

std::vector<Case> crls() {
  std::vector<Case> out;
  struct {
    const char *name, *what;
    CrlOrder CollateralOrder::*which;
    Bytes Collateral::*der;
  } const lists[] = {{"root-crl", "root CRL", &CollateralOrder::root_crl, &Collateral::root_ca_crl},
                     {"pck-crl", "PCK CRL", &CollateralOrder::pck_crl, &Collateral::pck_crl}};
  for (const auto& row : lists) {
    std::string name = row.name, the = std::string("the ") + row.what;
    auto which = row.which;
    auto der = row.der;
    out.push_back(refused(name + "-expired", the + "'s nextUpdate was a second ago", Reason::kSgxCrlExpired,
                          ordered([which](Order& o) { (o.collateral.*which).next_update = o.at - seconds(1); })));
    out.push_back(refused(name + "-not-yet-valid", the + "'s thisUpdate is the next second", Reason::kSgxCrlExpired,
                          ordered([which](Order& o) { (o.collateral.*which).this_update = o.at + seconds(1); })));
    out.push_back(refused(name + "-without-number", the + " has no CRL number", Reason::kSgxCrlInvalidExtensions,
                          ordered([which](Order& o) { (o.collateral.*which).number.reset(); })));
    // The signature is the last thing in a CRL, and s the last number in a signature.
    out.push_back(refused(name + "-tampered", "one bit of " + the + "'s signature was changed",
                          Reason::kSgxCrlInvalidSignature, issued([der](Order&, const Ca&, Evidence& made) -> Result<> {
                            (made.collateral.*der).back() ^= 1;
                            return {};
                          })));
    out.push_back(refused(name + "-missing", the + " has no bytes", Reason::kSgxCrlUnsupportedFormat,
                          issued([der](Order&, const Ca&, Evidence& made) -> Result<> {
                            (made.collateral.*der).clear();
                            return {};
                          })));
  }
  return out;
}

std::vector<Case> signed_json() {
  return {
      refused("other-fmspc", "everything is valid, but TCB Info is for another FMSPC", Reason::kTcbInfoMismatch,
              ordered([](Order& o) { o.collateral.fmspc = "00606a000000"; })),
      refused("other-pceid", "everything is valid, but TCB Info is for another PCEID", Reason::kTcbInfoMismatch,
              ordered([](Order& o) { o.collateral.pce_id = "0001"; })),
      refused("tcb-info-for-tdx", "everything is valid, but TCB Info is that for TDX", Reason::kTcbInfoMismatch,
              issued([](Order& o, const Ca& ca, Evidence& made) -> Result<> {
                for_tds(o.collateral);
                ENCLAYER_TRY(Collateral tdx, issue_collateral(ca, o.collateral));
                made.collateral.tcb_info = tdx.tcb_info;
                made.collateral.tcb_info_signature = tdx.tcb_info_signature;
                return {};
              })),
      refused("tcb-not-supported", "the platform is below every TCB level", Reason::kTcbNotSupported,
              ordered([](Order& o) { o.collateral.tcb_levels[0].pce_svn = kNewSvn; })),
      refused("tcb-status-unknown", "the platform's TCB level has a status that nobody knows",
              Reason::kTcbUnrecognizedStatus,
              ordered([](Order& o) { o.collateral.tcb_levels[0].status = "Splendid"; })),
      refused("tcb-levels-twice", "two TCB levels have the same numbers: UpToDate, then Revoked",
              Reason::kSgxTcbInfoInvalid, ordered([](Order& o) {
                TcbLevel twin = o.collateral.tcb_levels[0];
                twin.status = "Revoked";
                o.collateral.tcb_levels.push_back(twin);
              })),
      refused("tcb-info-v4", "TCB Info has version 4", Reason::kSgxTcbInfoUnsupportedFormat,
              tcb_info_with([](Json& json) { json["version"] = 4; })),
      refused("tcb-type-1", "TCB Info has tcbType 1", Reason::kSgxTcbInfoUnsupportedFormat,
              tcb_info_with([](Json& json) { json["tcbType"] = 1; })),
      refused("tcb-info-key-twice", "TCB Info has the key tcbType twice, with the same value",
              Reason::kSgxTcbInfoUnsupportedFormat, issued([](Order&, const Ca& ca, Evidence& made) {
                made.collateral.tcb_info.insert(1, "\"tcbType\":0,");
                return sign_collateral(ca, made.collateral);
              })),
      refused("tcb-info-without-next-update", "TCB Info has no nextUpdate", Reason::kSgxTcbInfoInvalid,
              tcb_info_with([](Json& json) { json.erase("nextUpdate"); })),
      refused("tcb-info-expired", "TCB Info's nextUpdate was a second ago", Reason::kSgxTcbInfoExpired,
              issued([](Order& o, const Ca& ca, Evidence& made) {
                return edit(ca, made.collateral, &Collateral::tcb_info,
                            [&](Json& json) { json["nextUpdate"] = format_time(o.at - seconds(1)); });
              })),
      refused("tcb-info-not-yet-valid", "TCB Info's issueDate is the next second", Reason::kSgxTcbInfoExpired,
              issued([](Order& o, const Ca& ca, Evidence& made) {
                return edit(ca, made.collateral, &Collateral::tcb_info,
                            [&](Json& json) { json[kDate] = format_time(o.at + seconds(1)); });
              })),
      refused("tcb-info-tampered", "OutOfDate was changed to UpToDate in TCB Info after it was signed",
              Reason::kTcbInfoInvalidSignature,
              {[](Order& o) { o.collateral.tcb_levels[0].status = "OutOfDate"; },
               [](Order&, const Ca&, Evidence& made) -> Result<> {
                 Json json = Json::parse(made.collateral.tcb_info);
                 json["tcbLevels"][0]["tcbStatus"] = "UpToDate";
                 made.collateral.tcb_info = json.dump();
                 return {};
               },
               nullptr}),
      refused("tcb-info-keys-sorted", "TCB Info's keys were sorted after it was signed",
              Reason::kTcbInfoInvalidSignature, issued([](Order&, const Ca&, Evidence& made) -> Result<> {
                made.collateral.tcb_info = nlohmann::json::parse(made.collateral.tcb_info).dump();
                return {};
              })),
      refused("tcb-info-signed-by-the-pck", "TCB Info is signed with the platform's own key",
              Reason::kTcbInfoInvalidSignature, issued([](Order&, const Ca& ca, Evidence& made) -> Result<> {
                ENCLAYER_TRY(auto signature, ca.pck.key.sign(base::as_bytes(made.collateral.tcb_info)));
                made.collateral.tcb_info_signature.assign(signature.begin(), signature.end());
                return {};
              })),
      refused("tcb-info-of-another-root", "TCB Info's issuer chain ends at another root with the same name",
              Reason::kSgxTcbSigningCertChainUntrusted, issued([](Order& o, const Ca&, Evidence& made) -> Result<> {
                ENCLAYER_TRY(Ca other, namesake(o));
                ENCLAYER_TRY(Collateral theirs, issue_collateral(other, o.collateral));
                made.collateral.tcb_info_issuer_chain = theirs.tcb_info_issuer_chain;
                made.collateral.tcb_info_signature = theirs.tcb_info_signature;
                return {};
              })),
      refused("tcb-signing-by-the-pck-ca", "the TCB signing certificate is issued by the PCK's CA",
              Reason::kSgxTcbSigningCertInvalidIssuer, issued([](Order& o, const Ca& ca, Evidence& made) -> Result<> {
                ENCLAYER_TRY(std::string signer, issue_certificate(o.ca.tcb_signing, ca.tcb_signing.key, &ca.pck_ca));
                made.collateral.tcb_info_issuer_chain = signer + ca.root.certificate;
                made.collateral.qe_identity_issuer_chain = signer + ca.root.certificate;
                return {};
              })),

      refused("qe-other-mrsigner", "the Quoting Enclave is of another signer", Reason::kQeIdentityMismatch,
              ordered([](Order& o) { o.quote.qe.mr_signer[0] ^= 1; })),
      refused("qe-other-isvprodid", "the Quoting Enclave is another product", Reason::kQeIdentityMismatch,
              ordered([](Order& o) { o.quote.qe.isv_prod_id = 2; })),
      refused("qe-other-miscselect", "the Quoting Enclave's MISCSELECT is not that of QE Identity",
              Reason::kQeIdentityMismatch, ordered([](Order& o) { o.quote.qe.misc_select = 1; })),
      refused("qe-debug", "the Quoting Enclave has the DEBUG attribute", Reason::kQeIdentityMismatch,
              ordered([](Order& o) { o.quote.qe.attributes.flags |= Attributes::kDebug; })),
      refused("qe-isvsvn-too-low", "the Quoting Enclave's ISVSVN is below every level of QE Identity",
              Reason::kSgxEnclaveReportIsvsvnNotSupported, ordered([](Order& o) { o.quote.qe.isv_svn = kSvn - 1; })),
      refused("qe-status-unknown", "the Quoting Enclave's level has a status that nobody knows",
              Reason::kTcbUnrecognizedStatus, ordered([](Order& o) { o.collateral.qe_levels[0].status = "Splendid"; })),
      refused("qe-levels-twice", "two levels of QE Identity have the same ISVSVN: UpToDate, then Revoked",
              Reason::kSgxEnclaveIdentityInvalid, ordered([](Order& o) {
                QeLevel twin = o.collateral.qe_levels[0];
                twin.status = "Revoked";
                o.collateral.qe_levels.push_back(twin);
              })),
      refused("qe-identity-of-td-qe", "QE Identity is that of the TDX Quoting Enclave", Reason::kQeIdentityMismatch,
              qe_identity_with([](Json& json) { json["id"] = "TD_QE"; })),
      refused("qe-identity-v3", "QE Identity has version 3", Reason::kSgxEnclaveIdentityUnsupportedVersion,
              qe_identity_with([](Json& json) { json["version"] = 3; })),
      refused("qe-identity-without-mrsigner", "QE Identity has no mrsigner", Reason::kSgxEnclaveIdentityInvalid,
              qe_identity_with([](Json& json) { json.erase("mrsigner"); })),
      refused("qe-identity-expired", "QE Identity's nextUpdate was a second ago", Reason::kSgxEnclaveIdentityExpired,
              issued([](Order& o, const Ca& ca, Evidence& made) {
                return edit(ca, made.collateral, &Collateral::qe_identity,
                            [&](Json& json) { json["nextUpdate"] = format_time(o.at - seconds(1)); });
              })),
      refused("qe-identity-not-yet-valid", "QE Identity's issueDate is the next second",
              Reason::kSgxEnclaveIdentityExpired, issued([](Order& o, const Ca& ca, Evidence& made) {
                return edit(ca, made.collateral, &Collateral::qe_identity,
                            [&](Json& json) { json[kDate] = format_time(o.at + seconds(1)); });
              })),
      refused("qe-identity-tampered", "OutOfDate was changed to UpToDate in QE Identity after it was signed",
              Reason::kSgxEnclaveIdentityInvalidSignature,
              {[](Order& o) { o.collateral.qe_levels[0].status = "OutOfDate"; },
               [](Order&, const Ca&, Evidence& made) -> Result<> {
                 Json json = Json::parse(made.collateral.qe_identity);
                 json["tcbLevels"][0]["tcbStatus"] = "UpToDate";
                 made.collateral.qe_identity = json.dump();
                 return {};
               },
               nullptr}),
  };
}

}  // namespace

Order good_order(Time at) {
  Order order{at, ca_order(at), collateral_order(at), {}};
  order.collateral.tcb_evaluation_data_number = Case::kEvaluationNumber;
  return order;
}

Order good_td_order(Time at) {
  Order order = good_order(at);
  for_tds(order.collateral);
  order.quote.version = 4;
  order.quote.td = td_body({});
  order.quote.qe = td_qe_body();
  return order;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = [] {
    std::vector<Case> out;
    for (auto subject : {statuses, unusual_but_good, formats, signatures, certificates, certificate_lives,
                         certificate_powers, revocation, crls, signed_json, td_cases})
      for (Case& which : subject()) out.push_back(std::move(which));
    return out;
  }();
  return kCases;
}

const Case* find_case(std::string_view name) {
  auto found = std::ranges::find(cases(), name, &Case::name);
  return found == cases().end() ? nullptr : &*found;
}

Result<Evidence> make_evidence(const Case& which, Time at) {
  const Departure& departure = which.departure;
  Order order = good_order(at);
  if (departure.order) departure.order(order);
  ENCLAYER_TRY(Ca ca, make_ca(order.ca));
  Evidence out;
  ENCLAYER_TRY(out.collateral, issue_collateral(ca, order.collateral));
  out.root = ca.root.certificate;
  if (departure.issued) ENCLAYER_CHECK(departure.issued(order, ca, out));
  ENCLAYER_TRY(SigningKey attestation_key, SigningKey::generate());
  ENCLAYER_TRY(out.quote, issue_quote(order.quote, ca, attestation_key));
  if (departure.on_its_way) ENCLAYER_CHECK(departure.on_its_way(out.quote));
  return out;
}

}  // namespace enclayer::sim
