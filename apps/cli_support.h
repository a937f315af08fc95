// SPDX-License-Identifier: Apache-2.0
// What every program of ours does alike: flags, --version, exit codes, and for the daemons platform, log and metrics.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace enclayer::apps {

// Adds --version ("<name> 0.2.0") and the footer that lists the exit codes.
void add_common(CLI::App& app);

// Parses; prints help or what is wrong with the flags. nullopt: go on. Otherwise the exit code: 0 after --help and
// --version, 1 after a misuse.
struct ParseOutcome {
  bool go_on;
  int exit_code;
};
ParseOutcome parse(CLI::App& app, int argc, const char* const* argv);

// A time as people write it: "2025-06-25" (its first second in UTC), "2025-06-25T08:00:00Z", or with an offset from UTC
// in place of the Z ("+02:00", RFC 3339); else kMalformed.
Result<Time> time_from(std::string_view text);

// Prints "<program>: <message>" to standard error and gives the exit code of the error's kind.
int fail(const std::string& program, const Error& error);

// A variable of the environment; empty where there is none.
std::string environment(const char* name);

// The whole of a file that a flag named, at most `max` bytes; "-" is standard input, which one flag may name: for a
// second one it is kInvalidArgument. Otherwise as base::read_file().
Result<Bytes> read_input(const std::string& path, std::size_t max);
Result<std::string> read_input_text(const std::string& path, std::size_t max);

// The authorities that a client trusts, PEM: those in `file`, read as above, or where none is named the system's, of which
// there may be none (then "").
Result<std::string> trusted_authorities(const std::string& file);

enum class Platform { kHardware, kSim };

struct DaemonOptions {
  Platform platform = Platform::kHardware;
  base::log::Level log_level = base::log::Level::kInfo;
  base::log::Format log_format = base::log::Format::kText;
  std::string metrics_listen;  // "ADDR:PORT" or empty
  std::string probe;           // "/readyz": ask the one that serves there, and end
};

// --output: text (or another word for what is for people) or json. `output` holds that word already.
CLI::Option* add_output_flag(CLI::App& app, std::string& output, const char* for_people = "text");

// --platform.
void add_platform_option(CLI::App& app, Platform& platform);

// --log-level, --log-format.
void add_log_options(CLI::App& app, base::log::Level& level, base::log::Format& format);

// --metrics-listen, --probe.
void add_metrics_options(CLI::App& app, DaemonOptions& options);

// --platform, --log-level, --log-format, --metrics-listen, --probe.
void add_daemon_options(CLI::App& app, DaemonOptions& options);

// What a daemon does when its flags are read: with --probe it asks, and that is all: the exit code. Otherwise the log is
// set up, and nullopt says go on.
std::optional<int> begin_daemon(const std::string& program, const DaemonOptions& options);

}  // namespace enclayer::apps
