// SPDX-License-Identifier: Apache-2.0
#include "cli_support.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/version.h"

namespace enclayer::apps {

void add_common(CLI::App& app) {
  app.set_version_flag("--version", app.get_name() + " " + base::kVersion, "Print the version and exit");
  app.get_formatter()->column_width(34);
}

ParseOutcome parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
    return {true, 0};
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return {false, app.exit(error)};
    // CLI11 has an exit code for each kind of mistake; ours is one: 1, misuse.
    std::string name = app.get_name();
    const CLI::App* command = &app;
    while (!command->get_subcommands().empty()) {
      command = command->get_subcommands().front();
      name += " " + command->get_name();
    }
    std::string what = error.what();  // where there is a word too many, only that a command is required
    if (auto words = command->remaining(); command->get_require_subcommand_min() > 0 && !words.empty())
      what = (words.front().starts_with('-') ? "there is no flag \"" : "there is no command \"") + words.front() + "\"";
    std::fprintf(stderr, "%s: %s\nRun '%s --help' for the flags.\n", name.c_str(), what.c_str(), name.c_str());
    return {false, 1};
  }
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

int fail(const std::string& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), base::for_terminal(error.message()).c_str());
  return base::exit_code(error);
}

Result<Bytes> read_input(const std::string& path, std::size_t max) {
  if (path != "-") return base::read_file(path, max);
  static bool was_read = false;
  if (std::exchange(was_read, true))
    return Error(ErrorKind::kInvalidArgument, "two flags name \"-\", but standard input can be read only once");
  return base::read_all(STDIN_FILENO, "standard input", max);
}

Result<std::string> read_input_text(const std::string& path, std::size_t max) {
  ENCLAYER_TRY(Bytes content, read_input(path, max));
  return std::string(base::as_text(content));
}

Result<std::string> trusted_authorities(const std::string& file) {
  constexpr std::size_t kMaxPem = 1 << 20;  // the authorities of a whole system have 220 KB
  if (!file.empty()) return read_input_text(file, kMaxPem);
  for (const char* systems : {"/etc/ssl/certs/ca-certificates.crt",                 // Debian, Alpine, Arch
                              "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Red Hat, Fedora
                              "/etc/ssl/ca-bundle.pem"})                            // SUSE
    if (auto found = base::read_text(systems, kMaxPem)) return found;
  return "";
}

CLI::Option* add_output_flag(CLI::App& app, std::string& output, const char* for_people) {
  return app.add_option("--output,-o", output, "For people or for programs")
      ->check(CLI::IsMember({for_people, "json"}))
      ->option_text(std::string(for_people) + "|json [" + for_people + "]");
}

void add_platform_option(CLI::App& app, Platform& platform) {
  app.add_option("--platform", platform,
                 "hardware: a CPU with SGX. sim: a simulated SGX node, which protects nothing and is never a fallback")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Platform>{{"hardware", Platform::kHardware}, {"sim", Platform::kSim}},
          CLI::ignore_case))
      ->default_str("hardware")
      ->option_text("hardware|sim [hardware]");
}

Result<Time> time_from(std::string_view text) {
  constexpr std::size_t kDate = 10, kTime = 19;  // characters
  if (text.size() == kDate) return parse_time(std::string(text) + "T00:00:00Z");
  if (text.size() != kTime + 6) return parse_time(text);
  const std::string_view offset = text.substr(kTime);  // "+02:00" is read as the time 02:00
  auto clock = parse_time("1970-01-01T" + std::string(offset.substr(1)) + ":00Z");
  auto local = parse_time(std::string(text.substr(0, kTime)) + "Z");
  if (!clock || !local || (offset[0] != '+' && offset[0] != '-'))
    return Error(ErrorKind::kMalformed,
                 "time \"" + std::string(text) + "\" is not of the form YYYY-MM-DDThh:mm:ss+hh:mm");
  const auto ahead = clock->time_since_epoch();
  return offset[0] == '+' ? *local - ahead : *local + ahead;
}

void add_log_options(CLI::App& app, base::log::Level& level, base::log::Format& format) {
  using base::log::Format;
  using base::log::Level;
  app.add_option("--log-level", level, "Least important line that is written")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Level>{
          {"error", Level::kError}, {"warn", Level::kWarn}, {"info", Level::kInfo}, {"debug", Level::kDebug}}))
      ->option_text("error|warn|info|debug [info]");
  app.add_option("--log-format", format, "Log lines, on standard error, for people or for programs")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Format>{{"text", Format::kText}, {"json", Format::kJson}}))
      ->option_text("text|json [text]");
}

void add_daemon_options(CLI::App& app, DaemonOptions& options) {
  add_platform_option(app, options.platform);
  add_log_options(app, options.log_level, options.log_format);
  add_metrics_options(app, options);
}

void add_metrics_options(CLI::App& app, DaemonOptions& options) {
  app.add_option("--metrics-listen", options.metrics_listen,
                 "Serve /metrics, /healthz and /readyz over HTTP there; off unless given")
      ->option_text("ADDR:PORT");
  app.add_option("--probe", options.probe,
                 "Ask the daemon that serves there, print what it says, and end: 0 it says ok, 4 not")
      ->check(CLI::IsMember({"/readyz", "/healthz", "/metrics"}))
      ->needs("--metrics-listen")
      ->option_text("/readyz|/healthz|/metrics");
}

}  // namespace enclayer::apps
