// SPDX-License-Identifier: Apache-2.0
// How a test uses the stand-in of Intel's quote libraries (dcap_standin.cc says what it can be told).
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "fake/temp_folder.h"
#include "quoting/dcap_launch.h"
#include "sgx/report.h"

namespace enclayer::fake {

class DcapStandin {
 public:
  explicit DcapStandin(const std::string& variant = "full") {
    tell("");
    options_.lib_dir = std::filesystem::path(DCAP_STANDIN) / variant;
    options_.dev_dir = folder_.path() / "dev";
    options_.cache_dir = folder_.path() / "cache";
  }

  // One order a line; replaces all earlier ones.
  void tell(const std::string& orders) {
    std::ofstream(folder_.path() / "orders.new") << orders + "\n";
    std::filesystem::rename(folder_.path() / "orders.new", folder_.path() / "orders");
  }

  // A line for each thing that was called.
  std::string log() const { return base::read_text(folder_.path() / "log", 1 << 20).value_or(""); }
  int calls(const std::string& line) const {
    int count = 0;
    std::string all = "\n" + log();
    for (auto at = all.find("\n" + line + "\n"); at != std::string::npos; at = all.find("\n" + line + "\n", at + 1))
      ++count;
    return count;
  }

  quoting::DcapOptions& options() { return options_; }
  const std::filesystem::path& folder() const { return folder_.path(); }

  quoting::DcapLaunch launch(std::vector<std::string> environment = {}) const {
    environment.push_back("ENCLAYER_STANDIN=" + (folder_.path() / "orders").string());
    environment.push_back("ENCLAYER_STANDIN_LOG=" + (folder_.path() / "log").string());
    return quoting::prepare_dcap_launch(options_, DCAP_TEST_WORKER, environment).value();
  }

 private:
  TempFolder folder_;
  quoting::DcapOptions options_;
};

// A report that the stand-in accepts as made for its QE of this generation. `what`: the first byte of the report data.
inline sgx::Report standin_report(int qe = 1, char what = 'r') {
  sgx::Report report;
  report.raw.fill(0x11);
  report.raw[320] = static_cast<std::uint8_t>(what);
  std::fill_n(report.raw.begin() + 416, 16, static_cast<std::uint8_t>(0xA0 + qe));
  return report;
}

}  // namespace enclayer::fake
