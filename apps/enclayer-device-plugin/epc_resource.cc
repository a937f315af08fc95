#include "epc_resource.h"

#include "base/file.h"
#include "base/log.h"
#include "kubelet/quantity.h"
#include "sgx/platform.h"

namespace enclayer::device_plugin {

namespace log = base::log;

Result<kubelet::Plugin> epc_resource(const EpcOffer& offer) {
  auto devices = kubelet::DeviceList::of(offer.mib);
  if (!devices)
    return Error(devices.error().kind(),
                 "cannot offer " + std::to_string(offer.mib) + " MiB of EPC as " + offer.resource + ": " +
                     devices.error().message() +
                     (offer.simulated ? ". Use --sim-epc 256Gi or less"
                                      : ". Nodes with more than 256 GiB of EPC are not supported yet: split them into "
                                        "virtual machines, or give less memory to SGX in the BIOS"));
  return kubelet::Plugin{offer.resource, std::move(*devices),
                         [offer](std::span<const std::size_t>) -> Result<kubelet::Grant> {
                           kubelet::Grant grant;
                           for (const char* path : {sgx::kEnclavePath, sgx::kEnclavePathOld})
                             grant.devices.push_back({path, offer.host_node, "rw"});
                           if (offer.simulated) grant.envs["ENCLAYER_PLATFORM"] = "sim";
                           return grant;
                         }};
}

Result<EpcOffer> offer_of_hardware(const std::string& resource, const std::filesystem::path& dev_root,
                                   const std::filesystem::path& sysfs_root) {
  ENCLAYER_TRY(sgx::Platform platform, sgx::find_platform(sgx::cpuid_of_this_machine(), dev_root, sysfs_root));
  for (const std::string& note : platform.notes) log::warn("about this node", {{"note", note}});
  log::info("SGX found", {{"epc_mib", platform.epc.mib()},
                          {"epc_sections", platform.epc.sections.size()},
                          {"sgx2", platform.sgx2},
                          {"provision_device", platform.provision.state == sgx::NodeState::kUsable}});
  return EpcOffer{resource, platform.epc.mib(), sgx::kEnclavePath, false};
}

Result<EpcOffer> offer_of_simulation(const std::string& resource, const std::string& epc, const std::string& host_node,
                                     const std::filesystem::path& dev_root) {
  auto bytes = kubelet::parse_quantity(epc);
  if (!bytes) return bytes.error().with_context("--sim-epc");
  if (*bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--sim-epc " + epc + " is less than 1Mi, the least that can be offered");

  auto refused = [&](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument,
                 "--sim-device " + host_node + " " + why + "; name a character device of the host, as /dev/null");
  };
  if (!host_node.starts_with('/')) return refused("is not an absolute path");
  bool below_dev = host_node.starts_with("/dev/");
  sgx::DeviceNode node = below_dev ? sgx::look_at_node(base::Root(dev_root), host_node.substr(5))
                                   : sgx::look_at_node(base::Root("/"), host_node.substr(1));
  if (node.state == sgx::NodeState::kMissing) return refused("is not there");
  if (node.state == sgx::NodeState::kHidden) return refused("cannot be looked at: permission denied");
  if (node.state == sgx::NodeState::kNotCharacterDevice) return refused("is not a character device");

  log::warn("SIMULATED SGX: this node pretends to have EPC, nothing that runs here is protected",
            {{"epc_mib", *bytes / sgx::kMiB}, {"device", host_node}});
  return EpcOffer{resource, *bytes / sgx::kMiB, host_node, true};
}

}  // namespace enclayer::device_plugin
