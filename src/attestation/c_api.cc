// SPDX-License-Identifier: Apache-2.0
// include/enclayer/enclayer.h over the C++ interface. Nothing may leave a function here but its return value.
#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/version.h"
#include "enclayer/enclayer.h"
#include "enclayer/evidence.h"
#include "enclayer/policy.h"
#include "enclayer/ra_tls.h"
#include "enclayer/verifier.h"

using namespace enclayer;

struct enclayer_verifier {
  TrustedRoot root = TrustedRoot::intel();
  Policy policy{};
  Verifier facts{};

  // The collateral that was parsed last: callers hand over the same text for quote after quote.
  std::mutex mutex{};
  std::string text{};
  std::shared_ptr<const Collateral> parsed{};
};

struct enclayer_collateral {
  Collateral parsed;
};

struct enclayer_verdict {
  Verification found;
  Verdict verdict;
  Time at;

  mutable std::once_flag written{};
  mutable std::string json{};
};

namespace {

constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31T23:59:59Z, the last that format_time() can write

template <class Work>
int guarded(const Work& work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return ENCLAYER_OUT_OF_MEMORY;
  } catch (...) {
    return ENCLAYER_INTERNAL;
  }
}

void say(std::string_view text, char* why, std::size_t why_size) {
  if (why == nullptr || why_size == 0) return;
  std::size_t length = std::min(text.size(), why_size - 1);
  std::copy_n(text.data(), length, why);
  why[length] = '\0';
}

Verification refused(const enclayer_verifier& verifier, Reason reason, std::string detail) {
  Verification out;
  out.reason = reason;
  out.detail = std::move(detail);
  out.custom_root = verifier.root.custom();
  out.simulated = verifier.root.simulated();
  return out;
}

// The collateral of this text, from memory when it is the one of last time.
Result<std::shared_ptr<const Collateral>> collateral_from(enclayer_verifier& verifier, ByteView quote,
                                                          std::string_view text) {
  {
    std::lock_guard lock(verifier.mutex);
    if (verifier.parsed && verifier.text == text) return verifier.parsed;
  }
  ENCLAYER_TRY(Collateral fresh, collateral_for(quote, text));
  auto parsed = std::make_shared<const Collateral>(std::move(fresh));
  if (text.find("\"collaterals\"") != text.npos) return parsed;  // of many platforms: the next quote may need another's
  std::lock_guard lock(verifier.mutex);
  verifier.parsed = nullptr;  // should there be no memory for the text, it is not that of something else
  verifier.text = text;
  verifier.parsed = parsed;
  return parsed;
}

// Collateral as a caller gave it: a text, a handle, or none.
struct Given {
  std::optional<std::string_view> text{};
  const Collateral* parsed = nullptr;
};

Verification verification_of(enclayer_verifier& verifier, int kind, ByteView bytes, Given collateral, Time at) {
  Evidence evidence;
  if (kind == ENCLAYER_QUOTE && bytes.size() > ENCLAYER_MAX_QUOTE_SIZE)
    return refused(verifier, Reason::kUnsupportedQuoteFormat,
                   "the quote has " + std::to_string(bytes.size()) + " bytes, at most " +
                       std::to_string(ENCLAYER_MAX_QUOTE_SIZE) + " are read");
  if (kind != ENCLAYER_QUOTE) {
    const Reason reason = kind == ENCLAYER_RA_TLS ? Reason::kUnsupportedRaTlsFormat : Reason::kUnsupportedQuoteFormat;
    auto found = evidence_from(bytes);
    if (!found) return refused(verifier, reason, found.error().message());
    if (kind == ENCLAYER_RA_TLS && found->certificate.empty())
      return refused(verifier, reason, "this is " + found->form + " with a bare quote and no certificate");
    evidence = std::move(*found);
    bytes = evidence.quote;
  }
  std::shared_ptr<const Collateral> read;  // until it was used
  if (collateral.text) {
    auto found = collateral_from(verifier, bytes, *collateral.text);
    if (!found)
      return refused(verifier, Reason::kUnsupportedCollateralFormat, "collateral: " + found.error().message());
    read = std::move(*found);
    collateral.parsed = read.get();
  }
  if (!evidence.certificate.empty())
    return verify_ra_tls(evidence.certificate, collateral.parsed, verifier.root, at, &verifier.facts);
  if (collateral.parsed == nullptr)
    return refused(verifier, Reason::kUnsupportedCollateralFormat, "no collateral was given");
  return verifier.facts.verify(bytes, *collateral.parsed, verifier.root, at);
}

int verdict_of(enclayer_verifier* verifier, int kind, const std::uint8_t* evidence, std::size_t evidence_size,
               Given collateral, const ReportDataRule* report_data, std::int64_t at, enclayer_verdict** verdict) {
  if (verdict != nullptr) *verdict = nullptr;
  if (verifier == nullptr || (evidence == nullptr && evidence_size != 0) || at < 0 || at > kLastSecond)
    return ENCLAYER_INVALID_ARGUMENT;
  return guarded([&]() -> int {
    Time time{std::chrono::seconds(at)};
    Verification found = verification_of(*verifier, kind, ByteView(evidence, evidence_size), collateral, time);
    Verdict judged = judge(found, verifier->policy, report_data);
    const bool trusted = judged.trusted;
    if (verdict != nullptr) *verdict = new enclayer_verdict{std::move(found), std::move(judged), time};
    return trusted ? ENCLAYER_OK : ENCLAYER_UNTRUSTED;
  });
}

// Collateral as text, which the functions of version 0.1 take every time.
int verdict_with_text(enclayer_verifier* verifier, int kind, const std::uint8_t* evidence, std::size_t evidence_size,
                      const char* collateral, std::size_t collateral_size, std::int64_t at,
                      enclayer_verdict** verdict) {
  if (verdict != nullptr) *verdict = nullptr;
  if (collateral == nullptr && collateral_size != 0) return ENCLAYER_INVALID_ARGUMENT;
  Given given;
  if (collateral != nullptr || kind == ENCLAYER_QUOTE) given.text = std::string_view(collateral, collateral_size);
  return verdict_of(verifier, kind, evidence, evidence_size, given, nullptr, at, verdict);
}

ByteView bytes_of_enclave(const ReportBody& report, int field) {
  switch (field) {
    case ENCLAYER_MR_ENCLAVE: return report.mr_enclave;
    case ENCLAYER_MR_SIGNER: return report.mr_signer;
    case ENCLAYER_REPORT_DATA: return report.report_data;
    default: return {};
  }
}

ByteView bytes_of_td(const TdReportBody& td, int field) {
  switch (field) {
    case ENCLAYER_MR_TD: return td.mr_td;
    case ENCLAYER_RTMR0:
    case ENCLAYER_RTMR1:
    case ENCLAYER_RTMR2:
    case ENCLAYER_RTMR3: return td.rtmr[static_cast<std::size_t>(field - ENCLAYER_RTMR0)];
    case ENCLAYER_MR_CONFIG_ID: return td.mr_config_id;
    case ENCLAYER_MR_OWNER: return td.mr_owner;
    case ENCLAYER_MR_OWNER_CONFIG: return td.mr_owner_config;
    case ENCLAYER_MR_SERVICE_TD: return td.tdx15 ? ByteView(td.tdx15->mr_service_td) : ByteView();
    case ENCLAYER_MR_SEAM: return td.mr_seam;
    case ENCLAYER_REPORT_DATA: return td.report_data;
    default: return {};
  }
}

ByteView bytes_of(const Verification& found, int field) {
  const PlatformIdentity* platform = found.platform ? &*found.platform : nullptr;
  const AttestedKey* key = found.attested_key ? &*found.attested_key : nullptr;
  switch (field) {
    case ENCLAYER_FMSPC: return found.fmspc ? ByteView(*found.fmspc) : ByteView();
    case ENCLAYER_PCE_ID: return platform != nullptr ? ByteView(platform->pce_id) : ByteView();
    case ENCLAYER_PPID: return platform != nullptr ? ByteView(platform->ppid) : ByteView();
    case ENCLAYER_PLATFORM_INSTANCE_ID:
      return platform != nullptr && platform->platform_instance_id ? ByteView(*platform->platform_instance_id)
                                                                   : ByteView();
    case ENCLAYER_ATTESTED_KEY: return key != nullptr ? ByteView(key->sha256) : ByteView();
    case ENCLAYER_NONCE: return key != nullptr && key->nonce ? ByteView(*key->nonce) : ByteView();
    default:
      if (!found.verified()) return {};
      return found.quote->sgx() ? bytes_of_enclave(found.quote->report(), field)
                                : bytes_of_td(found.quote->td_report(), field);
  }
}

std::optional<std::uint64_t> number_of(const Verification& found, int field) {
  const ReportBody* enclave = found.verified() && found.quote->sgx() ? &found.quote->report() : nullptr;
  const TdReportBody* td = found.verified() && !found.quote->sgx() ? &found.quote->td_report() : nullptr;
  auto seconds = [](const std::optional<Time>& time) {
    return time ? std::optional<std::uint64_t>(time->time_since_epoch().count()) : std::nullopt;
  };
  using Number = std::optional<std::uint64_t>;
  switch (field) {
    case ENCLAYER_ISV_PROD_ID: return enclave != nullptr ? Number(enclave->isv_prod_id) : Number();
    case ENCLAYER_ISV_SVN: return enclave != nullptr ? Number(enclave->isv_svn) : Number();
    case ENCLAYER_DEBUG:
      return enclave != nullptr ? Number(enclave->attributes.debug()) : td != nullptr ? Number(td->debug()) : Number();
    case ENCLAYER_TD_ATTRIBUTES: return td != nullptr ? Number(td->td_attributes) : Number();
    case ENCLAYER_XFAM: return td != nullptr ? Number(td->xfam) : Number();
    case ENCLAYER_TCB_DATE: return seconds(found.tcb_date);
    case ENCLAYER_TCB_EVALUATION_DATA_NUMBER: return found.tcb_evaluation_number;
    case ENCLAYER_COLLATERAL_ISSUED: return seconds(found.earliest_issue);
    case ENCLAYER_LACKING_SINCE: return seconds(found.lacking_since);
    default: return {};
  }
}

// What to_string() gives are literals, which end with a NUL.
const char* text_of(const std::optional<TcbStatus>& status) { return status ? to_string(*status).data() : nullptr; }

}  // namespace

static_assert(ENCLAYER_MAX_COLLATERAL_SIZE == Collateral::kMaxJsonSize);
static_assert(ENCLAYER_MAX_QUOTE_SIZE == Evidence::kMaxSize);
static_assert(ENCLAYER_MAX_POLICY_SIZE == Policy::kMaxJsonSize);

extern "C" {

const char* enclayer_version(void) { return base::kVersion; }

const char* enclayer_policy_schema(void) { return policy_schema().data(); }  // a literal, so there is a NUL

int enclayer_verifier_new(const char* root_pem, std::size_t root_pem_size, const char* policy, std::size_t policy_size,
                          enclayer_verifier** verifier, char* why, std::size_t why_size) {
  say("", why, why_size);
  if (verifier != nullptr) *verifier = nullptr;
  return guarded([&]() -> int {
    auto invalid = [&](std::string_view text) -> int {
      say(text, why, why_size);
      return ENCLAYER_INVALID_ARGUMENT;
    };
    if (verifier == nullptr) return invalid("verifier is NULL");
    if (root_pem == nullptr && root_pem_size != 0) return invalid("root_pem is NULL, its size is not 0");
    if (policy == nullptr && policy_size != 0) return invalid("policy is NULL, its size is not 0");
    if (root_pem_size > ENCLAYER_MAX_ROOT_SIZE) return invalid("root_pem has more than 65536 bytes");

    auto made = std::make_unique<enclayer_verifier>();
    if (root_pem != nullptr) {
      auto root = TrustedRoot::from_pem({root_pem, root_pem_size});
      if (!root) return invalid(root.error().message());
      made->root = *root;
    }
    if (policy != nullptr) {
      auto parsed = parse_policy_json({policy, policy_size});
      if (!parsed) return invalid(parsed.error().message());
      made->policy = std::move(*parsed);
    }
    *verifier = made.release();
    return ENCLAYER_OK;
  });
}

void enclayer_verifier_free(enclayer_verifier* verifier) { delete verifier; }

int enclayer_verify(enclayer_verifier* verifier, const std::uint8_t* quote, std::size_t quote_size,
                    const char* collateral, std::size_t collateral_size, std::int64_t at, enclayer_verdict** verdict) {
  return verdict_with_text(verifier, ENCLAYER_QUOTE, quote, quote_size, collateral, collateral_size, at, verdict);
}

int enclayer_verify_evidence(enclayer_verifier* verifier, const std::uint8_t* evidence, std::size_t evidence_size,
                             const char* collateral, std::size_t collateral_size, std::int64_t at,
                             enclayer_verdict** verdict) {
  return verdict_with_text(verifier, ENCLAYER_EVIDENCE, evidence, evidence_size, collateral, collateral_size, at,
                           verdict);
}

int enclayer_verify_ra_tls(enclayer_verifier* verifier, const std::uint8_t* certificate, std::size_t certificate_size,
                           const char* collateral, std::size_t collateral_size, std::int64_t at,
                           enclayer_verdict** verdict) {
  return verdict_with_text(verifier, ENCLAYER_RA_TLS, certificate, certificate_size, collateral, collateral_size, at,
                           verdict);
}

int enclayer_collateral_new(const std::uint8_t* quote, std::size_t quote_size, const char* json, std::size_t json_size,
                            enclayer_collateral** collateral, char* why, std::size_t why_size) {
  say("", why, why_size);
  if (collateral != nullptr) *collateral = nullptr;
  return guarded([&]() -> int {
    auto invalid = [&](std::string_view text) -> int {
      say(text, why, why_size);
      return ENCLAYER_INVALID_ARGUMENT;
    };
    if (collateral == nullptr) return invalid("collateral is NULL");
    if (quote == nullptr && quote_size != 0) return invalid("quote is NULL, its size is not 0");
    if (json == nullptr && json_size != 0) return invalid("json is NULL, its size is not 0");
    if (quote_size > ENCLAYER_MAX_QUOTE_SIZE) return invalid("quote has more than 1048576 bytes");
    auto parsed = collateral_for(ByteView(quote, quote_size), std::string_view(json, json_size));
    if (!parsed) return invalid(parsed.error().message());
    *collateral = new enclayer_collateral{std::move(*parsed)};
    return ENCLAYER_OK;
  });
}

void enclayer_collateral_free(enclayer_collateral* collateral) { delete collateral; }

int enclayer_check(enclayer_verifier* verifier, int kind, const std::uint8_t* evidence, std::size_t evidence_size,
                   const enclayer_collateral* collateral, const std::uint8_t* report_data, const std::uint8_t* mask,
                   std::int64_t at, enclayer_verdict** verdict) {
  if (verdict != nullptr) *verdict = nullptr;
  if ((kind != ENCLAYER_QUOTE && kind != ENCLAYER_EVIDENCE && kind != ENCLAYER_RA_TLS) ||
      (report_data == nullptr && mask != nullptr))
    return ENCLAYER_INVALID_ARGUMENT;
  ReportDataRule rule;
  if (report_data != nullptr) {
    std::copy_n(report_data, rule.value.size(), rule.value.begin());
    rule.mask.fill(0xff);
    if (mask != nullptr) std::copy_n(mask, rule.mask.size(), rule.mask.begin());
  }
  return verdict_of(verifier, kind, evidence, evidence_size,
                    Given{std::nullopt, collateral != nullptr ? &collateral->parsed : nullptr},
                    report_data != nullptr ? &rule : nullptr, at, verdict);
}

void enclayer_verdict_free(enclayer_verdict* verdict) { delete verdict; }

int enclayer_verdict_trusted(const enclayer_verdict* verdict) {
  return verdict != nullptr && verdict->verdict.trusted ? 1 : 0;
}

const char* enclayer_verdict_reason(const enclayer_verdict* verdict) {
  return verdict == nullptr ? "UNKNOWN" : to_string(verdict->verdict.reason).data();
}

const char* enclayer_verdict_tcb_status(const enclayer_verdict* verdict) {
  return verdict == nullptr ? nullptr : text_of(verdict->found.tcb_status);
}

int enclayer_verdict_simulated(const enclayer_verdict* verdict) {
  return verdict != nullptr && verdict->found.simulated ? 1 : 0;
}

std::int64_t enclayer_verdict_expires(const enclayer_verdict* verdict) {
  if (verdict == nullptr || !verdict->found.earliest_expiry) return -1;
  return static_cast<std::int64_t>(verdict->found.earliest_expiry->time_since_epoch().count());
}

const char* enclayer_verdict_json(const enclayer_verdict* verdict) {
  if (verdict == nullptr) return nullptr;
  const int done = guarded([&]() -> int {
    std::call_once(verdict->written,
                   [&] { verdict->json = verdict_json(verdict->found, verdict->verdict, verdict->at); });
    return ENCLAYER_OK;
  });
  return done == ENCLAYER_OK ? verdict->json.c_str() : nullptr;
}

const std::uint8_t* enclayer_verdict_bytes(const enclayer_verdict* verdict, int field, std::size_t* size) {
  const ByteView bytes = verdict != nullptr ? bytes_of(verdict->found, field) : ByteView();
  if (size != nullptr) *size = bytes.size();
  return bytes.empty() ? nullptr : bytes.data();
}

int enclayer_verdict_number(const enclayer_verdict* verdict, int field, std::uint64_t* value) {
  const auto number = verdict != nullptr ? number_of(verdict->found, field) : std::nullopt;
  if (!number || value == nullptr) return 0;
  *value = *number;
  return 1;
}

const char* enclayer_verdict_text(const enclayer_verdict* verdict, int field) {
  if (verdict == nullptr) return nullptr;
  const Verification& found = verdict->found;
  const TcbEvaluation* tcb = found.tcb ? &*found.tcb : nullptr;
  switch (field) {
    case ENCLAYER_DETAIL: return found.detail.c_str();
    case ENCLAYER_TEE: return !found.verified() ? nullptr : found.quote->sgx() ? "SGX" : "TDX";
    case ENCLAYER_PLATFORM_TCB_STATUS: return tcb != nullptr ? text_of(tcb->platform.status) : nullptr;
    case ENCLAYER_TDX_MODULE_TCB_STATUS:
      return tcb != nullptr && tcb->tdx_module ? text_of(tcb->tdx_module->status) : nullptr;
    case ENCLAYER_QE_TCB_STATUS: return tcb != nullptr ? text_of(tcb->qe.status) : nullptr;
    case ENCLAYER_CURRENT_TCB_STATUS: return found.current_tcb ? text_of(found.current_tcb->status) : nullptr;
    default: return nullptr;
  }
}

const char* enclayer_verdict_advisory(const enclayer_verdict* verdict, std::size_t index) {
  return verdict != nullptr && index < verdict->found.advisory_ids.size() ? verdict->found.advisory_ids[index].c_str()
                                                                          : nullptr;
}

}  // extern "C"
