// SPDX-License-Identifier: Apache-2.0
// Whatever comes as an AllocateRequest: an answer that the kubelet can read, for devices that are there and given once,
// or an error that can be shown.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "base/printable.h"
#include "kubelet/allocate.h"
#include "proto/deviceplugin.pb.h"

namespace {

using namespace enclayer;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::size_t kDevices = 5'000;  // with IDs of one, two and three characters
std::vector<bool> given;

const kubelet::Plugin& plugin() {
  static const kubelet::Plugin plugin{"example.com/epc", kubelet::DeviceList::of(kDevices).value(),
                                      [](std::span<const std::size_t> devices) -> Result<kubelet::Grant> {
                                        require(!devices.empty());
                                        for (std::size_t device : devices) {
                                          require(device < kDevices && !given[device]);
                                          given[device] = true;
                                        }
                                        if (devices.size() == 7) return Error(ErrorKind::kUnavailable, "not seven");
                                        return kubelet::Grant{{{"DEVICES", std::to_string(devices.size())}},
                                                              {{"/var/run/aesmd", "/run/enclayer/aesmd", true}},
                                                              {{"/dev/sgx_enclave", "/dev/sgx_enclave", "rw"}},
                                                              {"enclayer.io/sgx=enclave"}};
                                      }};
  return plugin;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  [[maybe_unused]] static const auto kQuiet = google::protobuf::SetLogHandler(nullptr);  // it tells of every bad ID
  given.assign(kDevices, false);
  auto answer = kubelet::answer_allocate(plugin(), plugin().devices, {reinterpret_cast<const char*>(data), size});
  if (!answer) {
    const std::string& message = answer.error().message();
    require(!message.empty() && message.size() < 400 && base::printable(message, message.size()) == message);
    return 0;
  }
  v1beta1::AllocateResponse response;
  require(answer->bytes.size() <= kubelet::kMaxListBytes && response.ParseFromString(answer->bytes));
  require(!answer->containers.empty());
  require(static_cast<std::size_t>(response.container_responses_size()) == answer->containers.size());
  for (std::size_t i = 0; i < answer->containers.size(); ++i)
    require(response.container_responses(static_cast<int>(i)).envs().at("DEVICES") ==
            std::to_string(answer->containers[i]));
  require(std::accumulate(answer->containers.begin(), answer->containers.end(), std::size_t{0}) ==
          static_cast<std::size_t>(std::count(given.begin(), given.end(), true)));
  return 0;
}
