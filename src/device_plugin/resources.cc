// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/resources.h"

#include <array>

#include "device_plugin/cdi.h"
#include "net/frame_client.h"

namespace enclayer::device_plugin {
namespace {

namespace fs = std::filesystem;

constexpr auto kAesmFolderInContainer = "/var/run/aesmd";
constexpr std::chrono::milliseconds kAnswerIn{1'000};

// An AESM Request that holds an empty GetSupportedAttKeyIDNum (field 21): the cheapest question there is (spec aesm,
// section 3).
constexpr std::array<std::uint8_t, 3> kCheapestRequest = {0xaa, 0x01, 0x00};

void give(kubelet::Grant& grant, const Device& device, const Grants& how) {
  // The plain device is given with CDI too: a runtime that knows CDI puts its own node in the place of this one, and
  // one that does not (containerd 1.6) must not start the container without it.
  for (const std::string& path : device.container_paths) grant.devices.push_back({path, device.host_path, "rw"});
  if (how.cdi) grant.cdi_devices.push_back(cdi_name(device));
}

Result<kubelet::DeviceList> some(const char* flag, std::size_t limit) {
  auto devices = kubelet::DeviceList::of(limit);
  if (!devices) return devices.error().with_context(flag);
  return devices;
}

// A resource whose containers get these devices.
Offer offer_of_devices(std::string resource, kubelet::DeviceList list, const std::vector<Device>& devices,
                       bool simulated, const Grants& how, troubles::Kind trouble = troubles::kEpcLost) {
  auto why_not = [devices]() -> std::string {
    for (const Device& device : devices)
      if (std::string why = device.why_not(); !why.empty()) return why;
    return {};
  };
  Offer offer{{std::move(resource), std::move(list),
               [devices, simulated, how, why_not](std::span<const std::size_t>) -> Result<kubelet::Grant> {
                 if (std::string why = why_not(); !why.empty()) return Error(ErrorKind::kUnavailable, why);
                 kubelet::Grant grant;
                 for (const Device& device : devices) give(grant, device, how);
                 if (simulated) grant.envs["ENCLAYER_PLATFORM"] = "sim";
                 return grant;
               }},
              why_not,
              {},
              false,
              trouble};
  for (const Device& device : devices) offer.folders.push_back(device.seen_at.parent_path());
  return offer;
}

Result<Offer> offer_provision_as(const char* resource, const char* flag, std::size_t limit, const Node& node,
                                 const Grants& grants) {
  ENCLAYER_TRY(auto list, some(flag, limit));
  if (!node.provision)
    return Error(ErrorKind::kUnavailable, std::string(flag) + ": this node's SGX driver has no provisioning device");
  return offer_of_devices(resource, std::move(list), {*node.provision}, node.simulated, grants,
                          troubles::kProvisioningLost);
}

std::string why_no_answer(const fs::path& folder) {
  auto answer = net::call(folder / slots::kSocket, kCheapestRequest, kAnswerIn);
  return answer ? "" : "the quote helper does not answer: " + answer.error().message();
}

// enclayer.io/quote, whose containers get the folder that is said for their devices.
Result<Offer> offer_of_folders(std::size_t limit,
                               const std::function<Result<fs::path>(std::span<const std::size_t>)>& folder_of,
                               std::function<std::string()> why_not, std::vector<fs::path> folders, bool simulated) {
  ENCLAYER_TRY(auto list, some("--quote-limit", limit));
  auto allocate = [folder_of, simulated](std::span<const std::size_t> devices) -> Result<kubelet::Grant> {
    ENCLAYER_TRY(fs::path folder, folder_of(devices));
    kubelet::Grant grant;
    grant.mounts.push_back({kAesmFolderInContainer, folder.string(), true});
    grant.envs["SGX_AESM_ADDR"] = "1";
    if (simulated) grant.envs["ENCLAYER_PLATFORM"] = "sim";
    return grant;
  };
  return Offer{
      {kQuoteResource, std::move(list), allocate}, std::move(why_not), std::move(folders), true, troubles::kQuotesLost};
}

}  // namespace

Result<Offer> offer_epc(const std::string& resource, kubelet::DeviceList list, const Node& node, const Grants& grants) {
  std::vector<Device> devices = {node.enclave};
  if (grants.provision_with_epc) {
    std::string why = node.provision ? node.provision->why_not() : "this node's SGX driver has no provisioning device";
    if (!why.empty()) return Error(ErrorKind::kUnavailable, "--provision-with-epc: " + why);
    devices.push_back(*node.provision);
  }
  return offer_of_devices(resource, std::move(list), devices, node.simulated, grants);
}

Result<Offer> offer_enclave(std::size_t limit, const Node& node, const Grants& grants) {
  ENCLAYER_TRY(auto list, some("--enclave-limit", limit));
  return offer_of_devices(kEnclaveResource, std::move(list), {node.enclave}, node.simulated, grants);
}

Result<Offer> offer_provision(std::size_t limit, const Node& node, const Grants& grants) {
  return offer_provision_as(kProvisionResource, "--provision-limit", limit, node, grants);
}

Result<Offer> offer_helper_provision(std::size_t limit, const Node& node, const Grants& grants) {
  return offer_provision_as(kHelperProvisionResource, "--helper-provision-limit", limit, node, grants);
}

Result<Offer> offer_quote(std::size_t limit, QuoteSlots& slots, bool simulated) {
  auto folder = [&slots](std::span<const std::size_t> devices) { return slots.give(devices); };
  auto why_not = [&slots]() -> std::string {
    if (auto made = slots.make_missing(); !made) return made.error().message();
    return why_no_answer(slots.folder() / slots::kHealth);
  };
  return offer_of_folders(limit, folder, why_not, {slots.folder(), slots.folder() / slots::kHealth}, simulated);
}

Result<Offer> offer_aesmd(std::size_t limit, const fs::path& folder, bool simulated) {
  auto same = [folder](std::span<const std::size_t>) -> Result<fs::path> {
    if (!base::Root(folder).stat(""))
      return Error(ErrorKind::kUnavailable, "the quote helper's folder " + folder.string() + " is not there");
    return folder;
  };
  return offer_of_folders(
      limit, same, [folder] { return why_no_answer(folder); }, {folder}, simulated);
}

}  // namespace enclayer::device_plugin
