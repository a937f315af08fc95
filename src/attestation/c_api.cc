// SPDX-License-Identifier: Apache-2.0
// include/enclayer/enclayer.h over the C++ interface. Nothing may leave a function here but its return value.
#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>

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

struct enclayer_verdict {
  bool trusted;
  bool simulated;
  std::int64_t expires;
  std::string reason, tcb_status, json;
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

enum class Form { kQuote, kAny, kCertificate };

Result<std::shared_ptr<const Collateral>> collateral_from(enclayer_verifier& verifier, ByteView quote,
                                                          std::string_view text) {
  {
    std::lock_guard lock(verifier.mutex);
    if (verifier.parsed && verifier.text == text) return verifier.parsed;
  }
  auto usual = parse_collateral_json(text);
  if (!usual) {  // other layouts may depend on the quote, and are not kept
    ENCLAYER_TRY(Collateral other, collateral_for(quote, text));
    return std::make_shared<const Collateral>(std::move(other));
  }
  auto parsed = std::make_shared<const Collateral>(std::move(*usual));
  std::lock_guard lock(verifier.mutex);
  verifier.parsed = nullptr;  // should there be no memory for the text, it is not that of something else
  verifier.text = text;
  verifier.parsed = parsed;
  return parsed;
}

Verification verification_of(enclayer_verifier& verifier, Form form, ByteView bytes,
                             std::optional<std::string_view> collateral, Time at) {
  Evidence evidence;
  if (form == Form::kQuote && bytes.size() > ENCLAYER_MAX_QUOTE_SIZE)
    return refused(verifier, Reason::kUnsupportedQuoteFormat,
                   "the quote has " + std::to_string(bytes.size()) + " bytes, at most " +
                       std::to_string(ENCLAYER_MAX_QUOTE_SIZE) + " are read");
  if (form != Form::kQuote) {
    const Reason reason = form == Form::kAny ? Reason::kUnsupportedQuoteFormat : Reason::kUnsupportedRaTlsFormat;
    auto found = evidence_from(bytes);
    if (!found) return refused(verifier, reason, found.error().message());
    if (form == Form::kCertificate && found->certificate.empty())
      return refused(verifier, reason, "this is " + found->form + " with a bare quote and no certificate");
    evidence = std::move(*found);
    bytes = evidence.quote;
  }
  std::shared_ptr<const Collateral> known;
  if (collateral) {
    auto given = collateral_from(verifier, bytes, *collateral);
    if (!given)
      return refused(verifier, Reason::kUnsupportedCollateralFormat, "collateral: " + given.error().message());
    known = std::move(*given);
  }
  if (!evidence.certificate.empty())
    return verify_ra_tls(evidence.certificate, known.get(), verifier.root, at, &verifier.facts);
  if (known == nullptr) return refused(verifier, Reason::kUnsupportedCollateralFormat, "no collateral was given");
  return verifier.facts.verify(bytes, *known, verifier.root, at);
}

int verdict_of(enclayer_verifier* verifier, Form form, const std::uint8_t* evidence, std::size_t evidence_size,
               const char* collateral, std::size_t collateral_size, std::int64_t at, enclayer_verdict** verdict) {
  if (verdict != nullptr) *verdict = nullptr;
  if (verifier == nullptr || (evidence == nullptr && evidence_size != 0) ||
      (collateral == nullptr && collateral_size != 0) || at < 0 || at > kLastSecond)
    return ENCLAYER_INVALID_ARGUMENT;
  return guarded([&]() -> int {
    Time time{std::chrono::seconds(at)};
    std::optional<std::string_view> text;
    if (collateral != nullptr || form == Form::kQuote) text = std::string_view(collateral, collateral_size);
    Verification v = verification_of(*verifier, form, ByteView(evidence, evidence_size), text, time);
    Verdict judged = judge(v, verifier->policy);
    if (verdict != nullptr)
      *verdict = new enclayer_verdict{
          judged.trusted,
          v.simulated,
          v.earliest_expiry ? static_cast<std::int64_t>(v.earliest_expiry->time_since_epoch().count()) : -1,
          std::string(to_string(judged.reason)),
          v.tcb_status ? std::string(to_string(*v.tcb_status)) : "",
          verdict_json(v, judged, time)};
    return judged.trusted ? ENCLAYER_OK : ENCLAYER_UNTRUSTED;
  });
}

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
  return verdict_of(verifier, Form::kQuote, quote, quote_size, collateral, collateral_size, at, verdict);
}

int enclayer_verify_evidence(enclayer_verifier* verifier, const std::uint8_t* evidence, std::size_t evidence_size,
                             const char* collateral, std::size_t collateral_size, std::int64_t at,
                             enclayer_verdict** verdict) {
  return verdict_of(verifier, Form::kAny, evidence, evidence_size, collateral, collateral_size, at, verdict);
}

int enclayer_verify_ra_tls(enclayer_verifier* verifier, const std::uint8_t* certificate, std::size_t certificate_size,
                           const char* collateral, std::size_t collateral_size, std::int64_t at,
                           enclayer_verdict** verdict) {
  return verdict_of(verifier, Form::kCertificate, certificate, certificate_size, collateral, collateral_size, at,
                    verdict);
}

void enclayer_verdict_free(enclayer_verdict* verdict) { delete verdict; }

int enclayer_verdict_trusted(const enclayer_verdict* verdict) { return verdict != nullptr && verdict->trusted ? 1 : 0; }

const char* enclayer_verdict_reason(const enclayer_verdict* verdict) {
  return verdict == nullptr ? "UNKNOWN" : verdict->reason.c_str();
}

const char* enclayer_verdict_tcb_status(const enclayer_verdict* verdict) {
  return verdict == nullptr || verdict->tcb_status.empty() ? nullptr : verdict->tcb_status.c_str();
}

int enclayer_verdict_simulated(const enclayer_verdict* verdict) {
  return verdict != nullptr && verdict->simulated ? 1 : 0;
}

std::int64_t enclayer_verdict_expires(const enclayer_verdict* verdict) {
  return verdict == nullptr ? -1 : verdict->expires;
}

const char* enclayer_verdict_json(const enclayer_verdict* verdict) {
  return verdict == nullptr ? nullptr : verdict->json.c_str();
}

}  // extern "C"
