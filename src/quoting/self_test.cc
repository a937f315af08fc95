// SPDX-License-Identifier: Apache-2.0
#include "quoting/self_test.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "quoting/dcap_process.h"

namespace enclayer::quoting {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Outcome = SelfTest::Step::Result;

// The size of a quote that carries no certificate but an encrypted platform id (certification data type 3).
constexpr std::uint32_t kSizeWithoutCertificate = 1456;

}  // namespace

bool SelfTest::step(const char* name, const std::function<enclayer::Result<std::string>()>& run) {
  auto begin = steady_clock::now();
  enclayer::Result<std::string> text = run();
  auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
  steps.push_back({name, text ? Outcome::kPassed : Outcome::kFailed, text ? *text : text.error().message(), took});
  return text.has_value();
}

bool SelfTest::passed() const {
  return !steps.empty() &&
         std::none_of(steps.begin(), steps.end(), [](const Step& one) { return one.result == Outcome::kFailed; });
}

std::string key_is_prepared(const QuoteTarget& target) {
  return "the key is prepared: pub_key_id " + base::to_hex(target.pub_key_id) + ", QE MRENCLAVE " +
         base::to_hex(target.qe.mr_enclave);
}

SelfTest test_dcap(const DcapLaunch& launch, milliseconds timeout) {
  SelfTest test;
  std::unique_ptr<DcapProcess> worker;
  bool loaded = test.step("load", [&]() -> Result<std::string> {
    ENCLAYER_TRY(worker, DcapProcess::start(launch, timeout, -1));
    return worker->loaded();
  });
  if (!loaded) return test;

  // What Intel's libraries print is often the only place where they say why.
  auto with_what_was_said = [&](const Error& error) {
    std::string said = worker->said();
    return said.empty() ? error : Error(error.kind(), error.message() + "; the library said: " + said, error.code());
  };
  auto call = [&](const DcapRequest& request) -> Result<DcapReply> {
    auto reply = worker->call(request, timeout);
    if (!reply) return with_what_was_said(reply.error());
    return reply;
  };
  auto successful = [&](DcapCall what) -> Result<DcapReply> {
    DcapRequest request;
    request.call = what;
    ENCLAYER_TRY(DcapReply reply, call(request));
    if (reply.status != kDcapSuccess) return with_what_was_said(dcap_error(reply.status, what, reply.text));
    return reply;
  };

  std::vector<DcapFile> files;
  if (auto reply = successful(DcapCall::kFiles)) files = std::move(reply->files);
  test.facts = facts_of_files(files, std::nullopt);
  bool ready = test.step("init", [&]() -> Result<std::string> {
    ENCLAYER_TRY(DcapReply reply, successful(DcapCall::kInit));
    test.facts = facts_of_files(files, reply.target.qe.mr_enclave);
    return key_is_prepared(reply.target);
  }) && test.step("size", [&]() -> Result<std::string> {
    ENCLAYER_TRY(DcapReply reply, successful(DcapCall::kSize));
    std::string has_size = "a quote has " + std::to_string(reply.size) + " bytes";
    if (reply.size <= kSizeWithoutCertificate)
      return Error(ErrorKind::kUnavailable,
                   has_size +
                       ", so it would carry no PCK certificate and nobody could verify it: see that the "
                       "quote provider reaches its certificate service");
    return has_size + ", with a PCK certificate chain";
  });
  if (!ready) return test;

  bool alive = test.step("quote", [&]() -> Result<std::string> {
    DcapRequest empty;
    empty.call = DcapCall::kQuote;
    ENCLAYER_TRY(DcapReply reply, call(empty));
    switch (reply.status) {
      case kDcapInvalidReport:
      case kDcapErrorReport:
        return dcap_status_name(reply.status) +
               " for an empty report, as it has to be: the Quoting Enclave runs and checks";
      case kDcapSuccess:
        return Error(ErrorKind::kInternal, "an empty report was quoted: this is no real Quoting Enclave");
      default: return with_what_was_said(dcap_error(reply.status, DcapCall::kQuote, reply.text));
    }
  });
  if (alive)
    test.steps.push_back(
        {"verify", Outcome::kNotPossible,
         "only an enclave can make a report to quote: run a pod whose enclave attests, then `enclayer verify` "
         "its quote",
         milliseconds(0)});
  return test;
}

std::string to_json(const SelfTest& test, const FactsAbout& about) {
  using Json = nlohmann::ordered_json;
  Json steps = Json::array();
  for (const auto& one : test.steps) {
    const char* result = one.result == Outcome::kPassed   ? "passed"
                         : one.result == Outcome::kFailed ? "failed"
                                                          : "not run";
    steps.push_back({{"name", one.name}, {"result", result}, {"text", one.text}, {"ms", one.took.count()}});
  }
  Json json = {{"passed", test.passed()}, {"steps", steps}, {"facts", Json::parse(to_json(test.facts, about))}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_text(const SelfTest& test) {
  std::string out;
  for (const auto& one : test.steps) {
    const char* word = one.result == Outcome::kPassed   ? "passed"
                       : one.result == Outcome::kFailed ? "FAILED"
                                                        : "not run";
    for (const std::string& column : {std::string(word), one.name}) {
      out += column;
      out.append(8 - column.size(), ' ');
    }
    out += one.text;
    if (one.result != Outcome::kNotPossible) out += " (" + std::to_string(one.took.count()) + " ms)";
    out += '\n';
  }
  return out;
}

}  // namespace enclayer::quoting
