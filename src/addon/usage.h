// SPDX-License-Identifier: Apache-2.0
// Who uses how much of the EPC, and who asks for quotes: node by node, pod by pod, container by container. A function of
// what a cluster holds and of what its daemons have said; as JSON, and as a table of as many lines as there is room for.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "addon/cluster.h"
#include "addon/figures.h"

namespace enclayer::addon {

// Of a container, a pod, a node or all of them. What nobody has told is not there; a sum is of what was told.
struct Use {
  std::int64_t asked = 0, claimed = 0;    // EPC in MiB: devices of the plugin, and ResourceClaims
  std::optional<double> mapped;           // MiB of enclaves in the address spaces of processes
  std::optional<double> quotes, refused;  // a minute

  void add(const Use& more);
};

struct ContainerUse : Use {
  std::string name;
};

struct PodUse : Use {
  std::string name_space, name;
  std::vector<ContainerUse> containers;  // that ask for something
};

// Who keeps a node's kernel from raising CPUSVN after a microcode update: whoever has EPC open (docs/outlook.md).
struct OpenEpc {
  bool seen = false;  // the device plugin has looked at its processes; else these are all that hold SGX, an upper bound
  std::vector<std::string> pods{};  // "namespace/name", quote helpers among them
  std::size_t unnamed = 0;          // pods whose names are not known; where `seen`, as is the next
  double host_processes = 0;        // of no pod: a virtual machine's, somebody's aesmd
  double unread_processes = 0;      // that the plugin could not look at: any of them may
};

struct NodeUse : Use {
  std::string name;
  std::int64_t epc = 0;                 // MiB, of both doors
  std::optional<double> wait, waiting;  // seconds that 99 of 100 requests waited at most; requests that wait now
  std::vector<PodUse> pods;
  OpenEpc open;
};

struct Usage {
  std::vector<NodeUse> nodes;  // with EPC or with pods that use SGX, by name
  std::size_t pending = 0;     // pods that ask for EPC and are on no node yet
  std::int64_t pending_mib = 0;
  std::size_t daemons = 0, answered = 0;  // that are asked in turn, and that did answer when they were last
  // How long ago the cluster was as it is told here, where it is known that this is not as it should be: the first note
  // says why.
  std::optional<std::chrono::seconds> age;
  std::vector<std::string> notes;  // who cannot be asked and why, and what may not be seen
};

// Figures of pods and containers that the API server does not know on the node of who tells them count for the node alone.
Usage usage(const Cluster& cluster, const std::map<std::string, Said>& said);

// docs/top.md says what each member is.
nlohmann::ordered_json number_or_null(std::optional<double> value);
std::string to_json(const Usage& usage, int indent = 2);  // -1: in one line

// "pod bank/ledger-0, 1 process of the host", for people; "nobody" where it was looked and there was none.
std::string in_words(const OpenEpc& open);

enum class By { kNode, kPod, kContainer };
enum class Order { kAsked, kMapped, kQuotes, kWait, kName };  // the most first; kAsked counts claims too

struct View {
  By by = By::kPod;
  Order order = Order::kAsked;
  std::size_t lines = 0, columns = 0;  // there is room for so many, at least 4 lines; 0: for all
};

// Two lines about all of it, a head and the rows; those for which there is no room are one. Names stand at the end, where
// a line is cut.
std::vector<std::string> table(const Usage& usage, const View& view);

// The nodes of the rows that table() shows.
std::vector<std::string> nodes_shown(const Usage& usage, const View& view);

}  // namespace enclayer::addon
