// SPDX-License-Identifier: Apache-2.0
// The steps of verification, in the order of Intel's Quote Verification Library; docs/verification.md tells them to
// users. Parsing and signatures are asked of Facts, which may know them already; everything else is judged here, every
// time.
#include "enclayer/verify.h"
#include "base/digest.h"

#include <algorithm>

#include "attestation/chain.h"
#include "attestation/checked.h"
#include "attestation/facts.h"
#include "attestation/tcb_evaluation.h"
#include "attestation/tcb_status.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/json.h"
#include "enclayer/verifier.h"

namespace enclayer {
namespace attestation {
namespace {

// What is not in force at the time of the judgement. The first is the reason for which the quote is refused; the checks
// go on, so that people learn of the others.
class Dates {
 public:
  explicit Dates(Time at) : at_(at) {}

  void check(const Window& validity, Reason otherwise, std::string_view what) {
    if (!validity.holds(at_)) expired_.push_back({otherwise, validity.refusal(what, at_)});
  }
  bool hold() const { return expired_.empty(); }
  std::vector<Miss> expired() && { return std::move(expired_); }

 private:
  Time at_;
  std::vector<Miss> expired_;
};

// Step 3: a CRL of `ca`.
Checked<std::shared_ptr<const Crl>> check_crl(ByteView der, const Certificate& ca, Dates& dates, Facts& facts) {
  auto parsed = facts.crl(der);
  std::string of = "CRL of \"" + ca.common_name() + "\"";
  if (!parsed) return Refusal{Reason::kSgxCrlUnsupportedFormat, of + ": " + parsed.error().message()};
  const auto& crl = *parsed;
  if (!crl->names_as_issuer(ca))
    return Refusal{Reason::kSgxCrlUnknownIssuer, of + " names \"" + crl->issuer.text() + "\" as its issuer"};
  if (!crl->has_number || !crl->authority_key_id || !crl->extensions_understood ||
      crl->authority_key_id != ca.subject_key_id)
    return Refusal{
        Reason::kSgxCrlInvalidExtensions,
        of + " does not have the extensions of a full CRL of this CA (CRL number, authority key identifier)"};
  if (!facts.signed_by(ca.key, *crl)) return Refusal{Reason::kSgxCrlInvalidSignature, of + " is not signed by that CA"};
  dates.check(crl->validity, Reason::kSgxCrlExpired, of);
  return crl;
}

// The signature is over the exact text that Intel sent; a text that was pretty-printed on its way still verifies.
bool json_signed_by(const P256Key& key, const Hashed& json, ByteView signature, Facts& facts) {
  if (facts.signed_by(key, json, signature)) return true;
  std::string compact = base::without_whitespace(base::as_text(json.bytes));
  return compact.size() != json.bytes.size() && facts.signed_by(key, Hashed(base::as_bytes(compact)), signature);
}

// How the two kinds of signed JSON differ in their reasons.
struct SignedJson {
  const char* name;
  Reason not_json, unsupported, invalid, bad_signature, expired;
};
constexpr SignedJson kTcbInfo{"TCB Info",
                              Reason::kSgxTcbInfoUnsupportedFormat,
                              Reason::kSgxTcbInfoUnsupportedFormat,
                              Reason::kSgxTcbInfoInvalid,
                              Reason::kTcbInfoInvalidSignature,
                              Reason::kSgxTcbInfoExpired};
constexpr SignedJson kQeIdentity{"QE Identity",
                                 Reason::kSgxEnclaveIdentityUnsupportedFormat,
                                 Reason::kSgxEnclaveIdentityUnsupportedVersion,
                                 Reason::kSgxEnclaveIdentityInvalid,
                                 Reason::kSgxEnclaveIdentityInvalidSignature,
                                 Reason::kSgxEnclaveIdentityExpired};

template <class T>
struct InForce {
  std::shared_ptr<const T> value;
  Window validity;  // of it and of its issuer chain
};

// Steps 4 and 5: format, issuer chain, revocation of its signer, signature, dates.
template <class T>
Checked<InForce<T>> check_signed_json(const SignedJson& kind, const Result<std::shared_ptr<const T>>& parsed,
                                      const Hashed& json, ByteView signature, std::string_view issuer_chain,
                                      const Crl& root_crl, const TrustedRoot& trusted, Dates& dates, Facts& facts) {
  if (!parsed) {
    Reason reason = kind.invalid;
    if (parsed.error().kind() == ErrorKind::kUnsupported) reason = kind.unsupported;
    if (!base::JsonDocument::parse(base::as_text(json.bytes))) reason = kind.not_json;
    return Refusal{reason, parsed.error().message()};
  }
  auto chain = check_tcb_signing_chain(issuer_chain, trusted, facts);
  if (!chain) return Refusal{chain.error().reason, std::string(kind.name) + ": " + chain.error().detail};
  if (root_crl.revokes(*chain->signer))
    return Refusal{Reason::kSgxTcbSigningCertRevoked, std::string(kind.name) + ": its signing certificate \"" +
                                                          chain->signer->common_name() + "\" is revoked"};
  dates.check(chain->validity(), Reason::kSgxSigningCertChainExpired, std::string("the issuer chain of ") + kind.name);
  if (!json_signed_by(chain->signer->key, json, signature, facts))
    return Refusal{kind.bad_signature, std::string("the signature of ") + kind.name + " is not by \"" +
                                           chain->signer->common_name() + "\" over this text"};
  const Window& validity = (*parsed)->validity;
  dates.check(validity, kind.expired, kind.name);
  return InForce<T>{*parsed, validity & chain->validity()};
}

// Step 2, first half: the certificates that the quote carries, or that came beside it.
Checked<Certificates> certificates_of(const Quote& quote, const Collateral& collateral, Facts& facts) {
  const CertificationData& data = quote.certification;
  const bool carried = data.type == CertificationData::kPckChain;
  if (!carried && collateral.pck_certificate_chain.empty())
    return Refusal{Reason::kUnsupportedCertFormat,
                   "the quote carries no PCK certificate chain but certification data of type " +
                       std::to_string(data.type) + " (" + std::string(certification_type_name(data.type)) +
                       "); its platform needs a quote provider library that fetches the chain, or the collateral "
                       "\"pck_certificate_chain\""};
  auto certificates = facts.certificates(carried ? base::as_text(data.data) : collateral.pck_certificate_chain, 3);
  if (!certificates)
    return Refusal{Reason::kUnsupportedCertFormat, "the quote's PCK chain: " + certificates.error().message()};
  return std::move(*certificates);
}

Checked<> check_collateral_is_for(const Quote& quote, const PckExtension& platform, const TcbInfo& tcb_info) {
  if (tcb_info.id != (quote.sgx() ? "SGX" : "TDX"))
    return Refusal{Reason::kTcbInfoMismatch, "TCB Info is for " + tcb_info.id + ", the quote is of " +
                                                 (quote.sgx() ? "an SGX enclave" : "a TDX trust domain")};
  if (tcb_info.fmspc != platform.fmspc)
    return Refusal{Reason::kTcbInfoMismatch, "TCB Info is for FMSPC " + base::to_hex(tcb_info.fmspc) +
                                                 ", the PCK certificate says " + base::to_hex(platform.fmspc)};
  if (tcb_info.pce_id != platform.pce_id)
    return Refusal{Reason::kTcbInfoMismatch, "TCB Info is for PCEID " + base::to_hex(tcb_info.pce_id) +
                                                 ", the PCK certificate says " + base::to_hex(platform.pce_id)};
  return {};
}

// The TDX module that the TD was launched with is Intel's: an identity for its major version, and in it signer and
// attributes. Intel's mask for the attributes is not used: QVL wants them to be zero, every bit.
Checked<> check_tdx_module(const TdReportBody& td, const TcbInfo& tcb_info) {
  const std::uint8_t major = TdxTcb{td.tee_tcb_svn}.module_major();
  const TdxModule* wanted = &tcb_info.tdx_module;
  if (major > 0) {
    const std::string of = "TDX module of major version " + std::to_string(major);
    if (!tcb_info.tdx_module_identities)
      return Refusal{Reason::kTcbInfoMismatch, "TCB Info has no identities of TDX modules, the TD runs on a " + of};
    const TdxModuleIdentity* identity = tcb_info.module_of(major);
    if (identity == nullptr) return Refusal{Reason::kTdxModuleMismatch, "TCB Info has no identity of a " + of};
    wanted = &identity->module;
  }
  if (td.mr_signer_seam != wanted->mr_signer)
    return Refusal{Reason::kTdxModuleMismatch, "the TDX module's signer is " + base::to_hex(td.mr_signer_seam) +
                                                   ", TCB Info wants " + base::to_hex(wanted->mr_signer)};
  if (td.seam_attributes != 0 || wanted->attributes != 0)
    return Refusal{Reason::kTdxModuleMismatch, "the TDX module's attributes are " + std::to_string(td.seam_attributes) +
                                                   ", TCB Info wants " + std::to_string(wanted->attributes) +
                                                   " under the mask " + std::to_string(wanted->attributes_mask) +
                                                   "; nothing but 0 is trusted"};
  return {};
}

// The QE's report binds the attestation key: SHA-256(key || authentication data) || 32 zero bytes.
Checked<> check_qe_report(const Quote& quote, const P256Key& pck, Facts& facts) {
  if (!facts.signed_by(pck, Hashed(quote.qe_report_bytes), quote.qe_report_signature))
    return Refusal{Reason::kInvalidQeReportSignature, "the QE report's signature is not by the PCK certificate's key"};
  ByteArray<64> wanted{};
  ByteArray<32> digest = base::sha256(quote.attestation_key, quote.qe_auth_data);
  std::copy(digest.begin(), digest.end(), wanted.begin());
  if (quote.qe_report().report_data != wanted)
    return Refusal{Reason::kInvalidQeReportData,
                   "the QE report's data is not SHA-256(attestation key, authentication data) and 32 zero bytes"};
  return {};
}

// Not a fact: no two quotes have one signature.
Checked<> check_quote_signature(const Quote& quote, Facts& facts) {
  auto key = facts.key(quote.attestation_key);
  if (!key || !key->signed_this(quote.signed_bytes, quote.signature))
    return Refusal{Reason::kInvalidQuoteSignature, "the quote's signature is not by its attestation key"};
  return {};
}

void add_advisories(const std::vector<std::string>& more, std::vector<std::string>& all) {
  for (const std::string& id : more)
    if (std::find(all.begin(), all.end(), id) == all.end()) all.push_back(id);
}

// "platform TCB level of 2024-03-13 is UpToDate, QE with ISVSVN 4 is UpToDate": for people.
std::string in_words(const TcbEvaluation& tcb, std::uint16_t qe_isv_svn, const std::optional<TdxTcb>& tdx) {
  std::string out = "platform TCB level of " + format_time(tcb.platform.date).substr(0, 10) + " is " +
                    std::string(to_string(tcb.platform.status)) + ", QE with ISVSVN " + std::to_string(qe_isv_svn) +
                    " is " + std::string(to_string(tcb.qe.status));
  if (tcb.tdx_module)
    out += ", TDX module " + std::to_string(tdx->module_major()) + "." + std::to_string(tdx->module_minor()) + " is " +
           std::string(to_string(tcb.tdx_module->status));
  return out;
}

PlatformIdentity identity_of(const PckExtension& platform) {
  return {platform.ppid,
          platform.fmspc,
          platform.pce_id,
          static_cast<PlatformIdentity::SgxType>(platform.sgx_type),
          platform.platform_instance_id,
          platform.dynamic_platform,
          platform.cached_keys,
          platform.smt_enabled,
          platform.tcb.components,
          platform.tcb.pce_svn};
}

// The steps from 2 on; `out` already has the quote.
Checked<> run(const Collateral& collateral, const TrustedRoot& trusted, Dates& dates, Facts& facts, Verification& out) {
  const Quote& quote = *out.quote;
  if (quote.header.vendor_id != QuoteHeader::kIntelVendor)
    return Refusal{Reason::kUnsupportedQuoteFormat,
                   "the quote's QE vendor is " + base::to_hex(quote.header.vendor_id) + ", not Intel's"};

  if (quote.sgx() && (quote.report().attributes.flags & Attributes::kInit) == 0)  // Intel SDM, EREPORT
    return Refusal{Reason::kUnsupportedQuoteFormat,
                   "the report's attributes lack INIT: no processor reports an enclave that was not initialised"};

  // 2. PCK chain
  ENCLAYER_TRY(Certificates certificates, certificates_of(quote, collateral, facts));
  out.simulated |=
      std::any_of(certificates.begin(), certificates.end(), [](const auto& c) { return says_simulated(*c); });
  ENCLAYER_TRY(PckChain chain, check_pck_chain(certificates, trusted, facts));
  out.fmspc = chain.platform.fmspc;
  out.platform = identity_of(chain.platform);
  dates.check(chain.validity(), Reason::kSgxPckCertChainExpired, "the PCK chain");

  // 3. Revocation lists
  ENCLAYER_TRY(std::shared_ptr<const Crl> root_crl, check_crl(collateral.root_ca_crl, *chain.root, dates, facts));
  if (root_crl->revokes(*chain.ca))
    return Refusal{Reason::kSgxIntermediateCaRevoked, "certificate \"" + chain.ca->subject.text() + "\" is revoked"};
  ENCLAYER_TRY(std::shared_ptr<const Crl> pck_crl, check_crl(collateral.pck_crl, *chain.ca, dates, facts));
  if (pck_crl->revokes(*chain.pck))
    return Refusal{Reason::kSgxPckRevoked, "the PCK certificate, serial " + base::to_hex(chain.pck->serial) +
                                               ", is revoked: the platform is not to be trusted any more"};
  ENCLAYER_TRY(SigningChain crl_issuer, check_crl_issuer_chain(collateral.pck_crl_issuer_chain, trusted, facts));
  if (crl_issuer.signer->key != chain.ca->key)
    return Refusal{Reason::kSgxCrlUnknownIssuer,
                   "the CRL issuer chain is that of \"" + crl_issuer.signer->common_name() + "\", not of the PCK's CA"};
  if (root_crl->revokes(*crl_issuer.signer))  // the CA's key may have another certificate than the one in the quote
    return Refusal{Reason::kSgxIntermediateCaRevoked,
                   "certificate \"" + crl_issuer.signer->subject.text() + "\" of the CRL issuer chain is revoked"};
  dates.check(crl_issuer.validity(), Reason::kSgxPckCertChainExpired, "the CRL issuer chain");

  // 4. TCB Info, 5. QE Identity
  Hashed tcb_info_text(base::as_bytes(collateral.tcb_info)), qe_identity_text(base::as_bytes(collateral.qe_identity));
  ENCLAYER_TRY(auto tcb_info,
               check_signed_json(kTcbInfo, facts.tcb_info(tcb_info_text), tcb_info_text, collateral.tcb_info_signature,
                                 collateral.tcb_info_issuer_chain, *root_crl, trusted, dates, facts));
  ENCLAYER_TRY(auto qe_identity,
               check_signed_json(kQeIdentity, facts.qe_identity(qe_identity_text), qe_identity_text,
                                 collateral.qe_identity_signature, collateral.qe_identity_issuer_chain, *root_crl,
                                 trusted, dates, facts));
  if (!dates.hold()) return {};

  // 6. The quote itself
  ENCLAYER_CHECK(check_collateral_is_for(quote, chain.platform, *tcb_info.value));
  if (!quote.sgx()) ENCLAYER_CHECK(check_tdx_module(quote.td_report(), *tcb_info.value));
  ENCLAYER_CHECK(check_qe_report(quote, chain.pck->key, facts));
  ReportBody qe = quote.qe_report();
  if (const char* wanted = quote.sgx() ? "QE" : "TD_QE"; qe_identity.value->id != wanted)
    return Refusal{Reason::kQeIdentityMismatch,
                   "the identity is of " + qe_identity.value->id + ", the quote wants that of " + wanted};
  if (std::string mismatch = qe_identity.value->mismatch(qe); !mismatch.empty())
    return Refusal{Reason::kQeIdentityMismatch, mismatch};
  const IsvLevel* qe_level = level_of(qe_identity.value->levels, qe.isv_svn);
  if (qe_level == nullptr)
    return Refusal{Reason::kSgxEnclaveReportIsvsvnNotSupported,
                   "the QE's ISVSVN " + std::to_string(qe.isv_svn) + " is older than every level of QE Identity"};
  ENCLAYER_CHECK(check_quote_signature(quote, facts));

  // 7. TCB levels: the platform's; of a TD of TDX 1.5 both that of its launch and that of now
  std::optional<TdxTcb> launch_svn, current_svn;
  if (!quote.sgx()) launch_svn = TdxTcb{quote.td_report().tee_tcb_svn};
  if (!quote.sgx() && quote.td_report().tdx15) current_svn = TdxTcb{quote.td_report().tdx15->tee_tcb_svn2};
  ENCLAYER_TRY(TcbPart qe_part, qe_at(*qe_level));
  ENCLAYER_TRY(TcbEvaluation tcb, evaluate_tcb(*tcb_info.value, chain.platform.tcb, launch_svn, qe_part));
  std::optional<TcbEvaluation> current;
  if (current_svn) {
    ENCLAYER_TRY(current, evaluate_tcb(*tcb_info.value, chain.platform.tcb, current_svn, qe_part));
  }

  out.tcb_status = current ? with_current(tcb.status, current->status) : tcb.status;
  out.reason = reason_of(*out.tcb_status);
  out.detail = in_words(tcb, qe.isv_svn, launch_svn);
  out.advisory_ids = tcb.advisory_ids();
  if (current) {
    out.detail = "launched: " + out.detail + "; now: " + in_words(*current, qe.isv_svn, current_svn);
    add_advisories(current->advisory_ids(), out.advisory_ids);
  }
  Shortfalls shortfalls =
      shortfalls_of(*tcb_info.value, chain.platform.tcb, launch_svn, *qe_identity.value, qe.isv_svn);
  out.shortfalls = std::move(shortfalls.list);
  if (shortfalls.since != Time::max()) out.lacking_since = shortfalls.since;
  out.tcb_date = tcb.platform.date;
  out.tcb = std::move(tcb);
  out.current_tcb = std::move(current);
  out.tcb_evaluation_number = std::min(tcb_info.value->evaluation_number, qe_identity.value->evaluation_number);
  out.earliest_expiry = (chain.validity() & root_crl->validity & pck_crl->validity & crl_issuer.validity() &
                         tcb_info.validity & qe_identity.validity)
                            .until;
  out.earliest_issue = std::min({tcb_info.value->validity.from, qe_identity.value->validity.from,
                                 root_crl->validity.from, pck_crl->validity.from});
  return {};
}

Verification verify_with(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at, Facts& facts) {
  Verification out;
  out.at = at;
  out.custom_root = root.custom();
  out.simulated = root.simulated();
  auto parsed = parse_quote(quote);
  if (!parsed) {
    out.detail = parsed.error().message();
    return out;
  }
  out.quote = std::move(*parsed);
  Dates dates(at);
  auto done = run(collateral, root, dates, facts, out);
  if (!dates.hold()) {  // before whatever else failed
    out.also_expired = std::move(dates).expired();
    out.reason = out.also_expired.front().reason;
    out.detail = std::move(out.also_expired.front().detail);
    out.also_expired.erase(out.also_expired.begin());
  } else if (!done) {
    out.reason = done.error().reason;
    out.detail = done.error().detail;
  }
  return out;
}

}  // namespace
}  // namespace attestation

std::string_view to_string(PlatformIdentity::SgxType type) {
  switch (type) {
    case PlatformIdentity::SgxType::kStandard: return "Standard";
    case PlatformIdentity::SgxType::kScalable: return "Scalable";
    case PlatformIdentity::SgxType::kScalableWithIntegrity: return "ScalableWithIntegrity";
  }
  return "unknown";
}

Time TcbEvaluation::date() const {
  Time oldest = std::min(platform.date, qe.date);
  return tdx_module ? std::min(oldest, tdx_module->date) : oldest;
}

std::vector<std::string> TcbEvaluation::advisory_ids() const {
  std::vector<std::string> out;
  attestation::add_advisories(platform.advisory_ids, out);
  if (tdx_module) attestation::add_advisories(tdx_module->advisory_ids, out);
  attestation::add_advisories(qe.advisory_ids, out);
  return out;
}

Verification verify(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at) {
  attestation::Facts facts;
  return attestation::verify_with(quote, collateral, root, at, facts);
}

Verifier::Verifier(std::size_t capacity) : memory_(std::make_unique<FactMemory>(capacity)) {}
Verifier::~Verifier() = default;

Verification Verifier::verify(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at) {
  attestation::Facts facts(memory_.get());
  Verification out = attestation::verify_with(quote, collateral, root, at, facts);
  if (out.verified()) facts.remember();
  return out;
}

static_assert(Verifier::kMaxTables == FactMemory::kMaxTables);

Verification Verifier::prepare(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at) {
  attestation::Facts facts;  // without the memory, which would keep some signers from being asked for
  Verification out = attestation::verify_with(quote, collateral, root, at, facts);
  if (out.verified()) memory_->prepare(facts.signers());
  return out;
}

std::size_t Verifier::remembered() const { return memory_->size(); }

}  // namespace enclayer
