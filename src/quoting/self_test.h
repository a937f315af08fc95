// SPDX-License-Identifier: Apache-2.0
// `enclayer-quote-helper --self-test`: goes the way of a quote step by step and says what works, for the owner of a
// node.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "quoting/dcap_launch.h"
#include "quoting/quote_source.h"
#include "quoting/source_facts.h"

namespace enclayer::quoting {

struct SelfTest {
  struct Step {
    enum class Result { kPassed, kFailed, kNotPossible };

    std::string name;  // "load", "init", "size", "quote", "verify"
    Result result;
    std::string text;  // one sentence
    std::chrono::milliseconds took;
  };
  std::vector<Step> steps;  // up to the first that failed
  SourceFacts facts;

  // Runs a step and notes its sentence, or the error that it ends with. False: the test ends here.
  bool step(const char* name, const std::function<enclayer::Result<std::string>()>& run);
  bool passed() const;
};

// On hardware: loads Intel's libraries in a worker, prepares the key, asks for the size, and hands in an empty report.
// Nobody but an enclave can make a real one; but that the Quoting Enclave finds this one wrong (INVALID_REPORT) shows
// that it runs. `timeout` is for each step.
SelfTest test_dcap(const DcapLaunch& launch, std::chrono::milliseconds timeout);

// The sentence of a passed "init".
std::string key_is_prepared(const QuoteTarget& target);

// A line for each step:
//   passed  init    the key is prepared: pub_key_id 5a..., QE MRENCLAVE 96...                       812 ms
std::string to_text(const SelfTest& test);

// {"passed": true, "steps": [{"name", "result": "passed" | "failed" | "not run", "text", "ms"}], "facts": {...}}
std::string to_json(const SelfTest& test, const FactsAbout& about);

}  // namespace enclayer::quoting
