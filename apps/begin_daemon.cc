// SPDX-License-Identifier: Apache-2.0
// Apart from cli_support.cc, so that the command-line tool has no server in it.
#include <cstdio>

#include "cli_support.h"
#include "http/server.h"

namespace enclayer::apps {

std::optional<int> begin_daemon(const std::string& program, const DaemonOptions& options) {
  if (!options.probe.empty()) {
    auto answered = http::probe(options.metrics_listen, options.probe);
    if (!answered) return fail(program, answered.error());
    const std::string& said = *answered;
    std::fwrite(said.data(), 1, said.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : fail(program, Error(ErrorKind::kIo, "nobody takes what it says"));
  }
  base::log::setup(options.log_level, options.log_format);
  return std::nullopt;
}

}  // namespace enclayer::apps
