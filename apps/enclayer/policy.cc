// SPDX-License-Identifier: Apache-2.0
// enclayer policy: is this policy file good, what does it ask for, and what may stand in one? docs/policy.md is the
// page for users.
#include "enclayer/policy.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "attestation/hex64.h"
#include "base/file.h"
#include "base/hex.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

std::string text(const std::string& value) { return value; }
std::string text(TcbStatus status) { return std::string(to_string(status)); }
std::string text(PlatformIdentity::SgxType type) { return std::string(to_string(type)); }
std::string text(std::uint16_t number) { return std::to_string(number); }
std::string text(std::uint64_t bits) { return attestation::hex64(bits); }
template <std::size_t N>
std::string text(const ByteArray<N>& bytes) {
  return base::to_hex(bytes);
}

template <class List>
std::string listed(const List& list, const char* when_empty) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + text(one);
  return out.empty() ? when_empty : out;
}

std::string at_least(std::uint32_t minimum) { return minimum == 0 ? "any" : std::to_string(minimum) + " or more"; }

std::string report_data(const std::optional<ReportDataRule>& rule) {
  if (!rule) return "any";
  if (*rule == ReportDataRule::exact(rule->value)) return text(rule->value);
  return text(rule->value) + " where the bits of " + text(rule->mask) + " are set";
}

// Every line of it, also what the file leaves to the defaults: that is where surprises hide.
void print_policy(const Policy& policy) {
  auto line = [](const char* name, const std::string& value) { std::printf("  %-22s %s\n", name, value.c_str()); };
  line("MRENCLAVE", listed(policy.mr_enclave, "any"));
  line("MRSIGNER", listed(policy.mr_signer, "any"));
  line("ISVPRODID", listed(policy.isv_prod_id, "any"));
  line("ISVSVN", at_least(policy.min_isv_svn));
  line("MRTD", listed(policy.mr_td, "any"));
  for (std::size_t i = 0; i < policy.rtmr.size(); ++i)
    line(("RTMR" + std::to_string(i)).c_str(), listed(policy.rtmr[i], "any"));
  line("MRCONFIGID", listed(policy.mr_config_id, "any"));
  line("MROWNER", listed(policy.mr_owner, "any"));
  line("MROWNERCONFIG", listed(policy.mr_owner_config, "any"));
  line("TD attributes", listed(policy.td_attributes, "usual: SEPT_VE_DISABLE, and PKS, KL, PERFMON or not"));
  line("XFAM", listed(policy.xfam, "any"));
  line("service TDs", listed(policy.mr_service_td, "none"));
  line("MRSEAM", listed(policy.mr_seam, "any of Intel's"));
  line("report data", report_data(policy.report_data));
  line("debug enclaves and TDs", policy.allow_debug ? "ACCEPTED" : "refused");
  line("simulated platforms", policy.allow_simulated ? "ACCEPTED" : "refused");
  line("TCB statuses", listed(policy.accepted_tcb, "none"));
  line("advisories", policy.accepted_advisories ? listed(*policy.accepted_advisories, "none") : "any");
  if (!policy.rejected_advisories.empty()) line("rejected advisories", listed(policy.rejected_advisories, "none"));
  line("TCB evaluation number", at_least(policy.min_tcb_evaluation_number));
  line("TCB date", policy.min_tcb_date ? "not before " + format_time(*policy.min_tcb_date) : "any");
  if (policy.tcb_grace_days > 0)
    line("out of date", "for " + text(policy.tcb_grace_days) + " days after the date of the level that is missing");
  line("collateral", policy.max_collateral_age_days
                         ? "issued at most " + text(*policy.max_collateral_age_days) + " days before"
                         : "of any age, while it has not expired");
  line("FMSPC", listed(policy.fmspc, "any"));
  line("PPID", listed(policy.ppid, "any"));
  line("platform instance ID", listed(policy.platform_instance_id, "any"));
  line("SGX type", listed(policy.sgx_type, "any"));
  line("dynamic platforms", policy.allow_dynamic_platform ? "accepted" : "refused");
  line("cached keys", policy.allow_cached_keys ? "accepted" : "refused");
  line("SMT", policy.allow_smt ? "accepted" : "refused");
}

// What is surely not meant, or should have been thought about.
std::vector<std::string> warnings(const Policy& policy) {
  const bool rtmrs =
      std::any_of(policy.rtmr.begin(), policy.rtmr.end(), [](const auto& list) { return !list.empty(); });
  const bool enclaves =
      !policy.mr_enclave.empty() || !policy.mr_signer.empty() || !policy.isv_prod_id.empty() || policy.min_isv_svn > 0;
  const bool tds = !policy.mr_td.empty() || rtmrs || !policy.mr_config_id.empty() || !policy.mr_owner.empty() ||
                   !policy.mr_owner_config.empty() || !policy.td_attributes.empty() || !policy.xfam.empty() ||
                   !policy.mr_service_td.empty() || !policy.mr_seam.empty();
  auto accepts = [&](TcbStatus status) {
    return std::find(policy.accepted_tcb.begin(), policy.accepted_tcb.end(), status) != policy.accepted_tcb.end();
  };

  std::vector<std::string> out;
  if (enclaves && tds) {
    out.push_back("no quote meets this policy: it names what only enclaves have and what only TDs have.");
  } else if (policy.mr_enclave.empty() && policy.mr_signer.empty() && policy.mr_td.empty() && !rtmrs) {
    out.push_back(
        "anybody's " +
        std::string(enclaves ? "enclave"
                    : tds    ? "TD"
                             : "enclave or TD") +
        " meets this policy. Name the ones you mean with \"mr_enclave\" or \"mr_signer\", or with \"mr_td\".");
  } else if (enclaves && policy.mr_enclave.empty()) {
    if (policy.isv_prod_id.empty())
      out.push_back("every product of these signers meets this policy. Name yours with \"isv_prod_id\".");
    if (policy.min_isv_svn == 0)
      out.push_back(
          "every version of it does, also those whose faults are known. Name the oldest with \"min_isv_svn\".");
  } else if (tds && !rtmrs) {
    out.push_back(
        "MRTD is the firmware alone: with any kernel and any programs a TD meets this policy. Name yours "
        "with \"rtmr1\", \"rtmr2\" and \"rtmr3\".");
  }
  if (policy.mr_signer.empty() && (!policy.isv_prod_id.empty() || policy.min_isv_svn > 0) && policy.mr_enclave.empty())
    out.push_back("ISVPRODID and ISVSVN are each signer's own numbers: without \"mr_signer\" they say nothing.");
  if (!accepts(TcbStatus::kUpToDate))
    out.push_back("UpToDate is not among the accepted TCB statuses: the best platforms are refused.");
  if (policy.allow_debug) out.push_back("debug enclaves and TDs are accepted: they have no secrets from their host.");
  if (policy.allow_simulated) out.push_back("simulated platforms are accepted: anybody can make their quotes.");
  if ((accepts(TcbStatus::kOutOfDate) || accepts(TcbStatus::kOutOfDateConfigurationNeeded)) && !policy.min_tcb_date)
    out.push_back(
        "platforms that are out of date are accepted for ever. \"tcb_grace_days\" bounds that in time, "
        "\"min_tcb_date\" and \"rejected_advisory_ids\" in what they lack.");
  return out;
}

int check_command(const std::string& path) {
  auto policy = read_policy(path);
  if (!policy) return fail("enclayer policy check", policy.error());
  std::printf("%s is a good policy. It accepts:\n", path.c_str());
  print_policy(*policy);
  for (const std::string& warning : warnings(*policy)) std::printf("Mind: %s\n", warning.c_str());
  return 0;
}

}  // namespace

Result<Policy> read_policy(const std::string& path) {
  ENCLAYER_TRY(std::string json, read_input_text(path, Policy::kMaxJsonSize));
  auto policy = parse_policy_json(json);
  if (!policy) return policy.error().with_context(path);
  return policy;
}

void add_policy(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("policy", "What does this policy file ask for, and what may stand in one?");
  command->require_subcommand(1);
  command->footer(R"(The smallest policy that is worth having names the enclave:
  {"version": 1, "mr_enclave": ["64 hexadecimal digits"]}
`enclayer verify --policy FILE` judges by it and reports everything that misses it.)");

  auto file = std::make_shared<std::string>();
  CLI::App* check = command->add_subcommand("check", "Reads a policy file and says what it accepts, defaults too");
  check->add_option("FILE", *file, "The policy file")->required()->option_text(" ");
  check->footer(
      "Exit codes: 0 good; 2 the file is malformed; 1 misuse; 3 it cannot be read.\n"
      "Example: enclayer policy check policy.json");
  check->callback([file, &exit_code] { exit_code = check_command(*file); });

  CLI::App* schema = command->add_subcommand("schema", "Prints the JSON Schema of policy files, for editors and CI");
  schema->footer("Example: enclayer policy schema > policy.schema.json");
  schema->callback([&exit_code] {
    std::string_view json = policy_schema();
    std::printf("%.*s", static_cast<int>(json.size()), json.data());
    exit_code = 0;
  });
}

}  // namespace enclayer::apps
