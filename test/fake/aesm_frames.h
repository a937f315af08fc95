// SPDX-License-Identifier: Apache-2.0
// The golden frames of test/data/aesm: what real clients sent, and what a stand-in server answered (its README says
// more).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"

namespace enclayer::fake {

// The whole frame, its length in front. `name` is a file name without ".hex".
inline Bytes aesm_frame(const std::string& name) {
  std::string digits =
      base::read_text(std::filesystem::path(ENCLAYER_TEST_DATA) / "aesm" / (name + ".hex"), 1 << 20).value();
  while (!digits.empty() && digits.back() == '\n') digits.pop_back();
  return base::from_hex(digits).value();
}

// The frame without its length.
inline Bytes aesm_body(const std::string& name) {
  Bytes frame = aesm_frame(name);
  return {frame.begin() + 4, frame.end()};
}

// Every recorded request of Intel's and Gramine's clients, by the name that aesm_frame() takes.
inline std::vector<std::string> aesm_requests() {
  return {"dcap_ql-init1-a.req",       "dcap_ql-init1-b.req", "dcap_ql-init1-c.req",      "dcap_ql-init2.req",
          "dcap_ql-quote.req",         "dcap_ql-size.req",    "gramine-init2.req",        "gramine-quote.req",
          "quote_ex-ids.req",          "quote_ex-init1.req",  "quote_ex-init2.req",       "quote_ex-num.req",
          "quote_ex-quote-qeinfo.req", "quote_ex-quote.req",  "quote_ex-select-list.req", "quote_ex-select-nolist.req",
          "quote_ex-size.req"};
}

}  // namespace enclayer::fake
