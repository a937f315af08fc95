// SPDX-License-Identifier: Apache-2.0
// STATE_DIR/facts.json: what is known of where the quotes served here come from. Kept by the instance that serves,
// printed by --facts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "enclayer/error.h"
#include "quoting/source_facts.h"

namespace enclayer::helper {

class FactsFile {
 public:
  // `metrics` outlives it.
  FactsFile(const std::filesystem::path& state_dir, quoting::FactsAbout about, base::Metrics& metrics);

  // Keeps the file and the metric as the facts are.
  void keep(const quoting::SourceFacts& facts, bool serves);

  // kNotFound where nobody has served yet.
  static Result<std::string> read(const std::filesystem::path& state_dir);

 private:
  const std::filesystem::path path_;
  const quoting::FactsAbout about_;
  base::Metrics& metrics_;
  std::optional<quoting::SourceFacts> shown_, written_;
};

}  // namespace enclayer::helper
