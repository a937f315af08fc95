// SPDX-License-Identifier: Apache-2.0
// The subcommands of `enclayer`, one file each. A function adds its subcommand to `app`; when that one is asked for,
// `exit_code` becomes what it returned. main() passes in what a command would otherwise read for itself, such as the
// time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "enclayer/error.h"
#include "enclayer/evidence.h"
#include "enclayer/policy.h"
#include "enclayer/time.h"

namespace CLI {
class App;
}

namespace enclayer::http {
struct Proxies;
}

namespace enclayer::apps {

struct Surroundings;  // addon_commands.h

// The evidence in a file or, where its name is "-", in standard input; errors name it. kMalformed: it can be read, and
// there is no evidence in it.
Result<Evidence> read_evidence(const std::string& path);  // inspect.cc
// What --help says of such a file.
inline constexpr char kEvidenceHelp[] =
    "The quote of an enclave or a TD, as bytes, hex, base64, PEM, JSON or an RA-TLS certificate; - is standard input";

// The flags by which commands are told what to verify, and with what.
struct EvidenceOptions {
  std::string quote, ra_tls, collateral, root_ca, at;

  void add_to(CLI::App& command);  // keeps references to these
  void require() const;            // throws CLI::RequiredError where one is missing
  Time time(Time now) const;       // --at, or now
};
// What could be read but not parsed is a Verification that failed; what could not be read is an error.
Result<Verification> verify_evidence(const EvidenceOptions& options, Time now);  // verify.cc
// Prints that error and gives the exit code: 1 where the wrong file was named, 3 where it cannot be read.
int fail_without_evidence(const std::string& program, const Error& error);  // verify.cc

// What the kubelet tells a container of the API server, in KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT; empty
// where this is no pod.
struct PodEnvironment {
  std::string service_host, service_port;
};

// `proxies`: of the environment.
void add_attest(CLI::App& app, Time now, const http::Proxies& proxies, int& exit_code);  // attest_policy.cc
void add_autoscaler_hints(CLI::App& app, int& exit_code);                                // autoscaler_hints.cc
// `cache_home`: where programs of this user keep what can be fetched again; empty: nowhere. `proxies`: of the
// environment.
void add_collateral(CLI::App& app, Time now, const std::filesystem::path& cache_home, const http::Proxies& proxies,
                    int& exit_code);                                        // collateral.cc
void add_completion(CLI::App& app, int& exit_code);                         // completion.cc
void add_detect(CLI::App& app, const PodEnvironment& pod, int& exit_code);  // detect.cc
// They keep a reference to `around`.
void add_dashboard(CLI::App& app, const Surroundings& around, int& exit_code);  // dashboard.cc
void add_disable(CLI::App& app, const Surroundings& around, int& exit_code);    // disable.cc
void add_doctor(CLI::App& app, const Surroundings& around, int& exit_code);     // doctor.cc
void add_enable(CLI::App& app, const Surroundings& around, int& exit_code);     // enable.cc
void add_list(CLI::App& app, const Surroundings& around, int& exit_code);       // show.cc
void add_show(CLI::App& app, const Surroundings& around, int& exit_code);       // show.cc
// `now`: when the archive says that it was made.
void add_sysdump(CLI::App& app, const Surroundings& around, Time now, int& exit_code);  // sysdump.cc
void add_top(CLI::App& app, const Surroundings& around, int& exit_code);                // top.cc
void add_update(CLI::App& app, const Surroundings& around, int& exit_code);             // update.cc
void add_epc_savings(CLI::App& app, int& exit_code);                                    // epc_savings.cc
void add_inspect(CLI::App& app, int& exit_code);                                        // inspect.cc
void add_policy(CLI::App& app, int& exit_code);                                         // policy.cc
void add_quote(CLI::App& app, int& exit_code);                                          // quote.cc
void add_render(CLI::App& app, int& exit_code);                                         // render.cc
void add_sim(CLI::App& app, Time now, int& exit_code);                                  // sim.cc
void add_translate(CLI::App& app, int& exit_code);                                      // translate.cc
void add_verify(CLI::App& app, Time now, int& exit_code);                               // verify.cc

// Where the command line is a shell's question for completion, answers it from `app`, complete with its subcommands,
// and gives the exit code.
std::optional<int> answer_completion(const CLI::App& app, int argc, const char* const* argv);  // completion.cc

// The policy in a file; errors name the path.
Result<Policy> read_policy(const std::string& path);  // policy.cc

}  // namespace enclayer::apps
