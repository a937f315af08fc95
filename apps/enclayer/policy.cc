// SPDX-License-Identifier: Apache-2.0
// enclayer policy: is this policy file good, what does it ask for, and what may stand in one? docs/policy.md is the
// page for users.
#include "enclayer/policy.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "attestation/hex64.h"
#include "base/file.h"
#include "base/hex.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

std::string text(const std::string& value) { return value; }
std::string text(TcbStatus status) { return std::string(to_string(status)); }
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
  line("TCB evaluation number", at_least(policy.min_tcb_evaluation_number));
  line("FMSPC", listed(policy.fmspc, "any"));
  const bool rtmrs =
      std::any_of(policy.rtmr.begin(), policy.rtmr.end(), [](const auto& list) { return !list.empty(); });
  const bool enclaves =
      !policy.mr_enclave.empty() || !policy.mr_signer.empty() || !policy.isv_prod_id.empty() || policy.min_isv_svn > 0;
  const bool tds = !policy.mr_td.empty() || rtmrs || !policy.mr_config_id.empty() || !policy.mr_owner.empty() ||
                   !policy.mr_owner_config.empty() || !policy.td_attributes.empty() || !policy.xfam.empty() ||
                   !policy.mr_service_td.empty() || !policy.mr_seam.empty();
  if (enclaves && tds)
    std::printf("Mind: no quote meets this policy: it names what only enclaves have and what only TDs have.\n");
  else if (policy.mr_enclave.empty() && policy.mr_signer.empty() && policy.mr_td.empty() && !rtmrs)
    std::printf(
        "Mind: anybody's %s this policy. Name the ones you mean with \"mr_enclave\" or \"mr_signer\", or with "
        "\"mr_td\".\n",
        enclaves ? "enclave meets"
        : tds    ? "TD meets"
                 : "enclave or TD meets");
  else if (enclaves && policy.mr_enclave.empty() && policy.isv_prod_id.empty())
    std::printf("Mind: every product of these signers meets this policy. Name yours with \"isv_prod_id\".\n");
  else if (tds && !rtmrs)
    std::printf(
        "Mind: MRTD is the firmware alone: with any kernel and any programs a TD meets this policy. Name yours "
        "with \"rtmr1\", \"rtmr2\" and \"rtmr3\".\n");
}

int check_command(const std::string& path) {
  auto policy = read_policy(path);
  if (!policy) return fail("enclayer policy check", policy.error());
  std::printf("%s is a good policy. It accepts:\n", path.c_str());
  print_policy(*policy);
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
