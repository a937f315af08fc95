// SPDX-License-Identifier: Apache-2.0
// The quotes of test/data/quotes, and of test/data/minted, with their collateral and the time at which they are to be verified.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/file.h"
#include "enclayer/collateral.h"
#include "enclayer/time.h"

namespace enclayer::fake {

struct QuoteCase {
  std::string name;
  std::filesystem::path folder;  // quote.bin, collateral.json, meta.json
  Bytes quote;
  Collateral collateral;
  Time at;
};

inline const std::filesystem::path& quote_data() {
  static const std::filesystem::path kFolder = ENCLAYER_TEST_DATA "/quotes";
  return kFolder;
}

inline const std::filesystem::path& minted_data() {
  static const std::filesystem::path kFolder = ENCLAYER_TEST_DATA "/minted";
  return kFolder;
}

inline QuoteCase quote_case(const std::string& name, const std::filesystem::path& data = quote_data()) {
  QuoteCase out{name, data / "cases" / name, {}, {}, {}};
  out.quote = base::read_file(out.folder / "quote.bin", 1 << 20).value();
  out.collateral = parse_collateral_json(base::read_text(out.folder / "collateral.json", 1 << 20).value()).value();
  std::string meta = base::read_text(out.folder / "meta.json", 1 << 16).value();
  std::size_t at = meta.find("\"at\": \"");
  if (at == std::string::npos) throw std::runtime_error(name + "/meta.json names no time");
  out.at = parse_time(std::string_view(meta).substr(at + 7, 20)).value();
  return out;
}

// Names of all cases, sorted.
inline std::vector<std::string> quote_case_names() { return base::Root(quote_data()).list("cases"); }

}  // namespace enclayer::fake
