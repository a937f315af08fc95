// SPDX-License-Identifier: Apache-2.0
// The slot folders: one for each who may ask the quote helper. A folder is an asker: the helper serves aesm.socket in
// every folder below one parent, and which socket a connection came in on says whose it is.
//
//   /var/run/enclayer/quotes/          root's, 0755: nobody but root can replace a slot
//       holders.json                   who has which slot, written by whoever makes the folders
//       health/                        a slot of nobody: health and take-over are asked there
//       p0/ ... p109/                  one for each device of enclayer.io/quote
//
// Made by the device plugin (or a DRA driver), mounted into containers by the kubelet, served by the quote helper,
// which makes and removes none. A bind mount holds on to a folder's inode: so a folder is made once and never replaced.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::slots {

inline constexpr auto kDefaultParent = "/var/run/enclayer/quotes";
inline constexpr auto kSocket = "aesm.socket";
inline constexpr auto kHealth = "health";
inline constexpr auto kHoldersFile = "holders.json",
                      kDraHoldersFile = "holders-dra.json";  // the plugin's, the driver's

// The quote helper's group, which may put its sockets into the folders (root:64213, 0775) but not move these.
inline constexpr gid_t kHelperGroup = 64'213;

// What is asked there: the cheapest frame of the AESM protocol, an empty GetSupportedAttKeyIDNum (field 21 of Request)
// with its length in front.
inline constexpr std::array<std::uint8_t, 7> kHealthQuestion = {3, 0, 0, 0, 0xaa, 0x01, 0x00};

// Slots below one parent that are served; a name has 1 to 255 letters, digits, '.', '_' and '-', and does not begin
// with a '.'.
inline constexpr std::size_t kMostSlots = 1024;
bool is_slot_name(std::string_view name);

// Makes the parent where it is missing, takes the right to write to it from all but its owner, and makes the folder in
// it, with owner, group, mode and, where SELinux is on, the label that containers may use (container_file_t). A folder
// that is there is made right where it is wrong, and stays the one it was. kConflict where something else has its name.
// Without the right to give a folder to kHelperGroup (user 0 with that supplementary group, or CAP_CHOWN) it stays in
// the caller's group and is open to whoever is the same user: for a try without root.
Result<> make_slot(const std::filesystem::path& parent, std::string_view name);

// Whose a slot is. `generation` goes up whenever it is given to another container: what is open on it from before is
// closed, so that nobody inherits another's connections, allowance or sums.
struct Holder {
  std::uint64_t generation = 0;
  std::string pod_namespace = {}, pod = {}, container = {};  // as in Kubernetes; all empty: free, or not known yet
  std::uint64_t epc_mib = 0;
  std::string pod_uid = {};  // where it is known

  bool named() const { return !pod.empty(); }
  bool operator==(const Holder&) const = default;
};

// Whether it may stand there as a name: those of Kubernetes do, 1 to 253 letters, digits, '.', '_' and '-'.
bool is_holder_name(std::string_view name);

using Holders = std::map<std::string, Holder, std::less<>>;  // by slot

// {"slots": {"p0": {"generation": 7, "namespace": "bank", "pod": "ledger-0", "container": "app", "epcMiB": 64,
//   "uid": "..."}, ...}}
// A slot has all three names or none. The file is replaced as a whole, mode 0644.
std::string holders_json(const Holders& holders);
Result<> write_holders(const std::filesystem::path& file, const Holders& holders);

// kNotFound; kMalformed for what is longer than kMostHoldersFile, no such object, or has names and numbers in it that
// Kubernetes and this page do not know. Unknown keys are passed over: a newer plugin may write them.
inline constexpr std::size_t kMostHoldersFile = std::size_t{1} << 20;
Result<Holders> parse_holders(std::string_view json);
Result<Holders> read_holders(const std::filesystem::path& file);

}  // namespace enclayer::slots
