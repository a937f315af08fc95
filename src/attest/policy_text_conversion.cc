// SPDX-License-Identifier: Apache-2.0
#include "attest/policy_text_conversion.h"

#include <algorithm>
#include <vector>

#include "attest/policy_text.h"
#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::attest {
namespace {

constexpr std::int64_t kDay = std::int64_t{24} * 60 * 60;  // seconds

template <class Number>
requires std::is_integral_v<Number> std::string literal(Number number) { return std::to_string(number); }
std::string literal(std::string_view text) { return "\"" + std::string(text) + "\""; }
std::string literal(const std::string& text) { return literal(std::string_view(text)); }
std::string literal(const char* text) { return literal(std::string_view(text)); }
std::string literal(TcbStatus status) { return literal(to_string(status)); }
std::string literal(PlatformIdentity::SgxType type) { return literal(to_string(type)); }
template <std::size_t N>
std::string literal(const ByteArray<N>& bytes) {
  return literal(base::to_hex(bytes));
}

// Sets of bits are claims as they stand in the report, the lowest byte first.
std::vector<ByteArray<8>> as_reported(const std::vector<std::uint64_t>& sets) {
  std::vector<ByteArray<8>> out(sets.size());
  for (std::size_t i = 0; i < sets.size(); ++i) base::store_le64(out[i].data(), sets[i]);
  return out;
}

std::string test(std::string_view type, std::string_view comparison, const std::string& value) {
  return "[type==" + literal(type) + ", value" + std::string(comparison) + value + "]";
}

// One of a list: a claim that the policy adds for each of its values.
std::string accepted(std::string_view key) {
  return "[type==" + literal("accepted-" + std::string(key)) + ", issuer==\"AttestationPolicy\"]";
}
std::string add_accepted(const std::string& conditions, std::string_view key) {
  return "  " + conditions + " => add(type=" + literal("accepted-" + std::string(key)) + ", value=true);\n";
}

class Conversion {
 public:
  explicit Conversion(const Policy& policy) : policy_(policy) {}

  std::string text() {
    const Policy& p = policy_;
    platform();
    const std::vector<std::string> of_both = std::move(conditions_);
    std::string permits;
    if (!names_td()) {
      conditions_ = {test("x-ms-attestation-type", "==", literal("sgx"))};
      enclave();
      permits += permit(of_both);
    }
    if (!names_enclave()) {
      conditions_ = {test("x-ms-attestation-type", "==", literal("tdxvm"))};
      td();
      permits += permit(of_both);
    }
    std::string denies;
    for (const std::string& id : p.rejected_advisories)
      denies += "  " + test("x-enclayer-advisory", "==", literal(id)) + " => deny();\n";
    return "version=1.0;\nauthorizationrules {\n" + added_ + denies + permits + "};\n";
  }

  bool names_enclave() const {
    const Policy& p = policy_;
    return !p.mr_enclave.empty() || !p.mr_signer.empty() || !p.isv_prod_id.empty() || p.min_isv_svn > 0;
  }
  bool names_td() const {
    const Policy& p = policy_;
    return !p.mr_td.empty() || std::any_of(p.rtmr.begin(), p.rtmr.end(), [](const auto& r) { return !r.empty(); }) ||
           !p.mr_config_id.empty() || !p.mr_owner.empty() || !p.mr_owner_config.empty() || !p.td_attributes.empty() ||
           !p.xfam.empty() || !p.mr_service_td.empty() || !p.mr_seam.empty();
  }

 private:
  void ask(std::string_view type, std::string_view comparison, const std::string& value) {
    conditions_.push_back(test(type, comparison, value));
  }

  template <class T>
  void one_of(std::string_view key, std::string_view type, const std::vector<T>& values) {
    if (values.size() == 1) ask(type, "==", literal(values[0]));
    if (values.size() < 2) return;
    for (const T& value : values) added_ += add_accepted(test(type, "==", literal(value)), key);
    conditions_.push_back(accepted(key));
  }

  void platform() {
    const Policy& p = policy_;
    tcb_status();
    if (!p.allow_simulated) ask("x-enclayer-simulated", "==", "false");
    if (p.accepted_advisories) {
      std::string others = "[type==\"x-enclayer-advisory\"";
      for (const std::string& id : *p.accepted_advisories) others += ", value!=" + literal(id);
      conditions_.push_back("!exists(" + others + "])");
    }
    if (p.min_tcb_date) ask("x-enclayer-tcb-date", ">=", literal(p.min_tcb_date->time_since_epoch().count()));
    if (p.max_collateral_age_days) ask("x-enclayer-collateral-age", "<=", literal(*p.max_collateral_age_days * kDay));
    if (p.min_tcb_evaluation_number > 0)
      ask("x-enclayer-tcb-evaluation-data-number", ">=", literal(p.min_tcb_evaluation_number));
    one_of("fmspc", "x-enclayer-fmspc", p.fmspc);
    one_of("sgx-type", "x-enclayer-sgx-type", p.sgx_type);
    if (!p.allow_dynamic_platform) ask("x-enclayer-dynamic-platform", "==", "false");
    if (!p.allow_cached_keys) ask("x-enclayer-cached-keys", "==", "false");
    if (!p.allow_smt) ask("x-enclayer-smt-enabled", "==", "false");
  }

  // Accepted, or out of date since so short a time that its grace still covers it.
  void tcb_status() {
    constexpr std::string_view kKey = "tcb-status", kType = "attester_tcb_status";
    if (policy_.accepted_tcb.size() == 1 && policy_.tcb_grace_days == 0)
      return ask(kType, "==", literal(policy_.accepted_tcb[0]));
    for (TcbStatus status : policy_.accepted_tcb) added_ += add_accepted(test(kType, "==", literal(status)), kKey);
    if (policy_.tcb_grace_days > 0)
      for (TcbStatus status : {TcbStatus::kOutOfDate, TcbStatus::kOutOfDateConfigurationNeeded,
                               TcbStatus::kTdRelaunchAdvised, TcbStatus::kTdRelaunchAdvisedConfigurationNeeded})
        added_ += add_accepted(test(kType, "==", literal(status)) + " && " +
                                   test("x-enclayer-lacking-seconds", "<", literal(policy_.tcb_grace_days * kDay)),
                               kKey);
    conditions_.push_back(accepted(kKey));
  }

  void enclave() {
    const Policy& p = policy_;
    if (!p.allow_debug) ask("x-ms-sgx-is-debuggable", "==", "false");
    one_of("mrenclave", "x-ms-sgx-mrenclave", p.mr_enclave);
    one_of("mrsigner", "x-ms-sgx-mrsigner", p.mr_signer);
    one_of("product-id", "x-ms-sgx-product-id", p.isv_prod_id);
    if (p.min_isv_svn > 0) ask("x-ms-sgx-svn", ">=", literal(p.min_isv_svn));
    if (p.report_data) ask("x-ms-sgx-report-data", "==", literal(p.report_data->value));
  }

  void td() {
    const Policy& p = policy_;
    if (!p.allow_debug) ask("tdx_td_attributes_debug", "==", "false");
    one_of("mrtd", "tdx_mrtd", p.mr_td);
    for (std::size_t i = 0; i < p.rtmr.size(); ++i)
      one_of("rtmr" + std::to_string(i), "tdx_rtmr" + std::to_string(i), p.rtmr[i]);
    one_of("mrconfigid", "tdx_mrconfigid", p.mr_config_id);
    one_of("mrowner", "tdx_mrowner", p.mr_owner);
    one_of("mrownerconfig", "tdx_mrownerconfig", p.mr_owner_config);
    if (p.td_attributes.empty()) ask("x-enclayer-tdx-usual-attributes", "==", "true");
    one_of("td-attributes", "tdx_td_attributes", as_reported(p.td_attributes));
    one_of("xfam", "tdx_xfam", as_reported(p.xfam));
    if (p.mr_service_td.empty()) ask("x-enclayer-tdx-service-td", "==", "false");
    one_of("mrservicetd", "x-enclayer-tdx-mrservicetd", p.mr_service_td);
    one_of("mrseam", "tdx_mrseam", p.mr_seam);
    if (p.report_data) ask("tdx_report_data", "==", literal(p.report_data->value));
  }

  std::string permit(const std::vector<std::string>& more) const {
    std::string out;
    for (const auto* list : {&conditions_, &more})
      for (const std::string& condition : *list) out += (out.empty() ? "  " : " &&\n  ") + condition;
    return out + "\n    => permit();\n";
  }

  const Policy& policy_;
  std::string added_;                    // rules
  std::vector<std::string> conditions_;  // of a rule that permits
};

}  // namespace

Result<std::string> policy_text_of(const Policy& policy) {
  std::string unsaid;
  auto cannot = [&](std::string_view what) { unsaid += (unsaid.empty() ? "" : "; ") + std::string(what); };
  if (!policy.ppid.empty()) cannot("\"ppid\": single machines are in no claim");
  if (!policy.platform_instance_id.empty()) cannot("\"platform_instance_id\": single machines are in no claim");
  if (policy.report_data && *policy.report_data != ReportDataRule::exact(policy.report_data->value))
    cannot("\"report_data\" with a prefix or a mask: values are compared as a whole");
  if (!unsaid.empty()) return Error(ErrorKind::kUnsupported, "a policy text cannot say " + unsaid);

  Conversion conversion(policy);
  if (conversion.names_enclave() && conversion.names_td())
    return Error(ErrorKind::kInvalidArgument,
                 "no quote meets this policy: it names what only enclaves have and what only TDs have");
  if (policy.accepted_tcb.empty() && policy.tcb_grace_days == 0)
    return Error(ErrorKind::kInvalidArgument, "no quote meets this policy: it accepts no TCB status");
  std::string text = conversion.text();
  if (auto parsed = PolicyText::parse(text); !parsed)
    return Error(ErrorKind::kUnsupported,
                 "the lists of this policy are too long for a text: " + parsed.error().message());
  return text;
}

}  // namespace enclayer::attest
