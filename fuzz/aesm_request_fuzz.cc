// SPDX-License-Identifier: Apache-2.0
// Whatever a client sends: the service answers in the request's own kind or not at all, within its bounds.
#include <cstdlib>

#include "aesm/service.h"
#include "sim/quoting_enclave.h"

namespace {

using namespace enclayer;

sim::QuotingEnclave& source() {
  static auto qe = [] {
    Time now{std::chrono::seconds(1'795'000'000)};
    auto ca = sim::make_ca(sim::ca_order(now)).value();
    return sim::QuotingEnclave::make(ca, sim::SigningKey::generate().value()).value();
  }();
  return *qe;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto answer = aesm::Service(source()).answer({data, size});
  if (answer && (answer->reply.empty() || answer->reply.size() > 20 * 1024)) std::abort();
  return 0;
}
