// Whatever a client sends: the service answers in the request's own kind or not at all, within its bounds.
#include <cstdlib>

#include "aesm/service.h"
#include "quoting/sim_qe.h"

namespace {

using namespace enclayer;

quoting::SimQuotingEnclave& source() {
  static auto qe = [] {
    Time now{std::chrono::seconds(1'795'000'000)};
    auto ca = quoting::make_sim_ca(quoting::sim_ca_order(now)).value();
    return quoting::SimQuotingEnclave::make(ca, quoting::SigningKey::generate().value()).value();
  }();
  return *qe;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto answer = aesm::Service(source()).answer({data, size});
  if (answer && (answer->reply.empty() || answer->reply.size() > 20 * 1024)) std::abort();
  return 0;
}
