#include "sgx/devices.h"

#include <cerrno>

namespace enclayer::sgx {

DeviceNode look_at_node(const base::Root& dev, std::string_view name) {
  struct stat found {};
  if (::stat(dev.path(name).c_str(), &found) != 0)
    return {errno == EACCES ? NodeState::kHidden : NodeState::kMissing, 0, 0};
  DeviceNode node{NodeState::kUsable, found.st_mode & 0777u, found.st_gid};
  if (!S_ISCHR(found.st_mode))
    node.state = NodeState::kNotCharacterDevice;
  else if ((node.mode & 0600) != 0600)
    node.state = NodeState::kNobodyMayOpen;
  return node;
}

std::vector<std::string> nodes_of_old_drivers(const base::Root& dev) {
  std::vector<std::string> found;
  for (const char* name : {"isgx", "sgx", "sgx/enclave", "sgx_prv", "enclave"})
    if (auto what = dev.stat(name); what && S_ISCHR(what->st_mode)) found.emplace_back(name);
  return found;
}

}  // namespace enclayer::sgx
