// SPDX-License-Identifier: Apache-2.0
// enclayer verify: is this quote to be trusted? docs/verify.md is the page for users.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "attestation/hex64.h"
#include "attestation/pem.h"
#include "base/hex.h"
#include "cli_support.h"
#include "commands.h"
#include "enclayer/policy.h"
#include "enclayer/ra_tls.h"

namespace enclayer::apps {
namespace {

constexpr char kProgram[] = "enclayer verify";
constexpr int kTrusted = 0, kMisuse = 1, kNotTrusted = 2, kNotReadable = 3;

struct VerifyOptions : EvidenceOptions {
  std::string policy, output = "text";
  std::vector<std::string> accept_tcb;
  bool allow_debug = false;
};

// All that may stand in --accept-tcb beside UpToDate.
std::string acceptable_names() {
  std::string names;
  for (auto status = static_cast<int>(TcbStatus::kSwHardeningNeeded); status < static_cast<int>(TcbStatus::kRevoked);
       ++status)
    names += (names.empty() ? "" : ", ") + std::string(to_string(static_cast<TcbStatus>(status)));
  return names;
}

// CLI11 checks: "" is good, anything else says what is wrong.
std::string check_tcb_status(const std::string& name) {
  auto status = tcb_status_from(name);
  if (status && *status != TcbStatus::kRevoked) return "";
  return (status ? "Revoked can never be accepted" : "\"" + name + "\" is not a TCB status") +
         "; these can be accepted: " + acceptable_names();
}
std::string check_time(const std::string& text) {
  auto time = time_from(text);
  return time ? "" : time.error().message() + "; a date alone and an offset from UTC (+02:00) will do, too";
}

Verification refused(Reason reason, const Error& error) {
  Verification out;
  out.reason = reason;
  out.detail = error.message();
  return out;
}

Result<Verification> run(const Evidence& evidence, const EvidenceOptions& options, Time at) {
  auto parse_failed = [](const Error& error) { return error.kind() == ErrorKind::kMalformed; };

  TrustedRoot root = TrustedRoot::intel();
  if (!options.root_ca.empty()) {
    auto pem = read_input_text(options.root_ca, attestation::kMaxPemSize);
    if (!pem && !parse_failed(pem.error())) return pem.error();
    auto given = pem ? TrustedRoot::from_pem(*pem) : Result<TrustedRoot>(pem.error());
    if (!given) {
      bool not_a_root = given.error().kind() == ErrorKind::kInvalidArgument;
      Verification out = refused(not_a_root ? Reason::kTrustedRootCaInvalid : Reason::kTrustedRootCaUnsupportedFormat,
                                 given.error().with_context(options.root_ca));
      out.custom_root = true;
      return out;
    }
    root = *given;
  }
  auto judged = [&](const Collateral* collateral) {
    return evidence.certificate.empty() ? verify(evidence.quote, *collateral, root, at)
                                        : verify_ra_tls(evidence.certificate, collateral, root, at);
  };
  if (options.collateral.empty()) return judged(nullptr);  // the certificate's own
  auto json = read_input_text(options.collateral, Collateral::kMaxJsonSize);
  if (!json && !parse_failed(json.error())) return json.error();

  auto collateral = json ? collateral_for(evidence.quote, *json) : Result<Collateral>(json.error());
  if (collateral) return judged(&*collateral);
  Verification out = refused(Reason::kUnsupportedCollateralFormat, collateral.error().with_context(options.collateral));
  out.custom_root = root.custom();
  out.simulated = root.simulated();
  return out;
}

void print_text(const Verification& v, const Verdict& verdict, Time at) {
  auto line = [](const char* name, const std::string& value) { std::printf("  %-15s %s\n", name, value.c_str()); };
  if (verdict.trusted) {
    std::printf("TRUSTED%s: TCB status %s\n", v.simulated ? " (SIMULATED)" : "",
                std::string(to_string(*v.tcb_status)).c_str());
  } else {
    std::printf("UNTRUSTED: %s\n", std::string(to_string(verdict.reason)).c_str());
    for (const Miss& miss : verdict.misses) line("because", miss.detail);
  }
  if (v.simulated)
    std::printf("SIMULATED: this quote is of a simulated platform and proves nothing: anybody can make one.\n");
  line("root", v.custom_root ? "custom" : "Intel SGX Root CA");
  line("at", format_time(at));
  if (!v.verified()) return;
  auto debug = [&](bool yes) { line("debug", yes ? "YES: its host can read and change its memory" : "no"); };
  if (v.quote->sgx()) {
    const ReportBody& report = v.quote->report();
    line("MRENCLAVE", base::to_hex(report.mr_enclave));
    line("MRSIGNER", base::to_hex(report.mr_signer));
    line("ISVPRODID", std::to_string(report.isv_prod_id));
    line("ISVSVN", std::to_string(report.isv_svn));
    debug(report.attributes.debug());
    line("report data", base::to_hex(report.report_data));
  } else {
    const TdReportBody& td = v.quote->td_report();
    line("MRTD", base::to_hex(td.mr_td));
    for (std::size_t i = 0; i < td.rtmr.size(); ++i)
      line(("RTMR" + std::to_string(i)).c_str(), base::to_hex(td.rtmr[i]));
    line("MRCONFIGID", base::to_hex(td.mr_config_id));
    line("MROWNER", base::to_hex(td.mr_owner));
    line("MROWNERCONFIG", base::to_hex(td.mr_owner_config));
    line("TD attributes", attestation::hex64(td.td_attributes));
    line("XFAM", attestation::hex64(td.xfam));
    line("service TDs", td.has_service_td() ? "YES: they may migrate it" : td.tdx15 ? "none" : "TDX 1.0 does not say");
    line("MRSEAM", base::to_hex(td.mr_seam));
    debug(td.debug());
    line("report data", base::to_hex(td.report_data));
  }
  line("FMSPC", base::to_hex(*v.fmspc));
  line("TCB", v.detail);
  for (const Shortfall& one : v.shortfalls)
    line("short of", one.part + " " + std::to_string(one.needs) + ", it has " + std::to_string(one.has) +
                         "; needed since " + format_time(one.since).substr(0, 10));
  std::string advisories;
  for (const std::string& id : v.advisory_ids) advisories += (advisories.empty() ? "" : ", ") + id;
  line("advisories", advisories.empty() ? "none" : advisories);
  if (v.attested_key) {
    std::string kinds;
    for (const std::string& kind : v.attested_key->evidence) kinds += (kinds.empty() ? "" : ", ") + kind;
    line("key", "SHA-256 " + base::to_hex(v.attested_key->sha256) + ", bound by " + kinds);
    line("certificate", "valid until " + format_time(v.attested_key->valid_until));
    if (v.attested_key->nonce) line("nonce", base::to_hex(*v.attested_key->nonce));
  }
  line("collateral", "holds until " + format_time(*v.earliest_expiry) + ", TCB evaluation data number " +
                         std::to_string(*v.tcb_evaluation_number));
}

// The policy of the file, or that of the flags. The file is the whole policy: a flag may repeat what stands in it, and
// one that says otherwise is a mistake to be told of, whichever of the two was meant.
Result<Policy> policy_of(const VerifyOptions& options) {
  std::vector<TcbStatus> accepted{TcbStatus::kUpToDate};
  for (const std::string& name : options.accept_tcb) {
    TcbStatus status = *tcb_status_from(name);
    if (std::find(accepted.begin(), accepted.end(), status) == accepted.end()) accepted.push_back(status);
  }
  Policy policy;
  if (options.policy.empty()) {
    policy.accepted_tcb = accepted;
    policy.allow_debug = options.allow_debug;
    policy.allow_simulated = !options.root_ca.empty();  // who names a simulation's root has said it by name
    return policy;
  }
  ENCLAYER_TRY(policy, read_policy(options.policy));
  auto contradiction = [&](const std::string& flag, const std::string& remedy) {
    return Error(ErrorKind::kInvalidArgument, flag + " contradicts " + options.policy +
                                                  ", which decides alone: leave the flag out, or put " + remedy +
                                                  " into the file");
  };
  if (options.allow_debug && !policy.allow_debug) return contradiction("--allow-debug", "\"allow_debug\": true");
  for (const std::string& name : options.accept_tcb)
    if (const auto& in_file = policy.accepted_tcb;
        std::find(in_file.begin(), in_file.end(), *tcb_status_from(name)) == in_file.end())
      return contradiction("--accept-tcb " + name, "\"" + name + "\" among its \"accepted_tcb_statuses\"");
  return policy;
}

// The evidence of whichever flag was given.
Result<Evidence> evidence_of(const EvidenceOptions& options) {
  if (options.ra_tls.empty()) return read_evidence(options.quote);
  ENCLAYER_TRY(Evidence evidence, read_evidence(options.ra_tls));
  if (evidence.certificate.empty())
    return Error(ErrorKind::kMalformed, options.ra_tls + ": this is " + evidence.form +
                                            " with a bare quote and no certificate; --quote takes it");
  if (options.collateral.empty() && !parse_ra_tls(evidence.certificate)->collateral)
    return Error(ErrorKind::kInvalidArgument,
                 options.ra_tls +
                     " carries no collateral, so --collateral is required; `enclayer collateral fetch "
                     "--quote " +
                     options.ra_tls + " --out FILE` gets it");
  return evidence;
}

int verify_command(const VerifyOptions& options, Time now) {
  Time at = options.time(now);
  auto policy = policy_of(options);
  if (!policy) {  // also when the file is malformed: there is nothing to judge by, so there is no verdict
    int exit_code = fail(kProgram, policy.error());
    return exit_code == kNotReadable ? kNotReadable : kMisuse;
  }
  auto verification = verify_evidence(options, now);
  if (!verification) return fail_without_evidence(kProgram, verification.error());
  Verdict verdict = judge(*verification, *policy);
  if (options.output == "json")
    std::printf("%s\n", verdict_json(*verification, verdict, at).c_str());
  else
    print_text(*verification, verdict, at);
  return verdict.trusted ? kTrusted : kNotTrusted;
}

}  // namespace

Time EvidenceOptions::time(Time now) const { return at.empty() ? now : *time_from(at); }

Result<Verification> verify_evidence(const EvidenceOptions& options, Time now) {
  ENCLAYER_TRY(const Evidence evidence, evidence_of(options));  // without any there is nothing to judge
  return run(evidence, options, options.time(now));
}

int fail_without_evidence(const std::string& program, const Error& error) {
  fail(program, error);
  const bool misuse = error.kind() == ErrorKind::kMalformed || error.kind() == ErrorKind::kInvalidArgument;
  return misuse ? kMisuse : kNotReadable;
}

void EvidenceOptions::add_to(CLI::App& command) {
  auto* bare = command.add_option("--quote", quote, kEvidenceHelp)->option_text("FILE");
  command
      .add_option(
          "--ra-tls", ra_tls,
          "In its place: the RA-TLS certificate of a TLS peer, PEM or DER, whose key its quote has to be bound to")
      ->excludes(bare)
      ->option_text("FILE");
  command
      .add_option("--collateral", collateral,
                  "What Intel (or a simulation) says of the platform: issuer chains, CRLs, TCB Info, QE Identity; also "
                  "PcsClientTool's platform_collaterals.json; - is standard input")
      ->option_text("FILE (required, unless that certificate carries it)");
  command
      .add_option("--at", at, "The time of the judgement, in UTC or with an offset; a date alone is its first second")
      ->check(CLI::Validator(check_time, "", "time"))
      ->option_text("YYYY-MM-DD[Thh:mm:ssZ] [now]");
  command.add_option("--root-ca", root_ca, "Trust this root instead of Intel's")->option_text("PEM");
}

void EvidenceOptions::require() const {
  if (quote.empty() && ra_tls.empty())
    throw CLI::RequiredError("--quote or --ra-tls is required", CLI::ExitCodes::RequiredError);
  if (collateral.empty() && ra_tls.empty())
    throw CLI::RequiredError("--collateral is required; `enclayer collateral fetch --quote " + quote +
                                 " --out FILE` gets it, of a simulated quote `enclayer sim export`",
                             CLI::ExitCodes::RequiredError);
}

void add_verify(CLI::App& app, Time now, int& exit_code) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Is this quote to be trusted?");
  options->add_to(*command);
  command
      ->add_option("--policy", options->policy,
                   "What is accepted: enclave, signer, TCB statuses, report data and more (enclayer policy --help)")
      ->option_text("FILE");
  command
      ->add_option("--accept-tcb", options->accept_tcb,
                   "Trust these TCB statuses beside UpToDate, of " + acceptable_names())
      ->delimiter(',')
      ->check(CLI::Validator(check_tcb_status, "", "TCB status"))
      ->option_text("LIST");
  command->add_flag("--allow-debug", options->allow_debug,
                    "Trust debug enclaves and TDs, which have no secrets from their host");
  add_output_flag(*command, options->output);
  command->footer(
      R"(Exit codes: 0 trusted; 2 not trusted, also when quote, collateral or root can be read but not parsed; 1 misuse, also
  a file without a quote, and a policy that is malformed or that a flag contradicts; 3 a file cannot be read.
Nothing is fetched here. `enclayer collateral fetch` gets collateral, and asks its cache first:
  enclayer verify --quote quote.bin --collateral <(enclayer collateral fetch --quote quote.bin)
Example: enclayer verify --quote quote.bin --collateral collateral.json --accept-tcb SWHardeningNeeded
         enclayer verify --quote quote.bin --collateral collateral.json --policy policy.json
         enclayer verify --ra-tls peer.pem --collateral collateral.json --policy policy.json)");
  command->callback([options, now, &exit_code] {
    options->require();
    exit_code = verify_command(*options, now);
  });
}

}  // namespace enclayer::apps
