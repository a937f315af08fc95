// SPDX-License-Identifier: Apache-2.0
// The ResourceSlice by which a node says what it offers, as JSON of resource.k8s.io/v1; one of them is the whole pool.
//
// An API server drops the fields of a feature that is switched off, and says nothing. A slice that came back without
// `allowMultipleAllocations` would let one claim of 1 MiB take all EPC: so what comes back is compared with what was
// written, and the first difference names the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dra/node_devices.h"
#include "enclayer/error.h"

namespace enclayer::dra {

// A claim without an amount gets so much, or the section where that has less.
inline constexpr std::uint64_t kDefaultMib = 16;

// "00000-sgx.enclayer.io-<node>": the scheduler takes devices from slices in the order of their names, and other
// drivers' begin with an index too. Of a node whose name is too long for 253 characters, a digest of it.
std::string slice_name(const std::string& node);

// The slice's spec. `generation` goes up by one with every change: the scheduler passes over older ones.
std::string slice_spec(const NodeDevices& devices, std::uint64_t generation);

// The whole object, the node's own so that it goes with the node. `resource_version` is that of the object which it
// replaces, empty for a new one.
std::string slice_object(const std::string& node, const std::string& node_uid, const std::string& spec,
                         const std::string& resource_version);

struct SeenSlice {
  std::string name, resource_version;
  std::uint64_t generation = 0;
  std::string spec;  // JSON
};

// A ResourceSlice, and a ResourceSliceList. kMalformed when it is none, or more than base::JsonDocument reads.
Result<SeenSlice> parse_slice(std::string_view json);
Result<std::vector<SeenSlice>> parse_slices(std::string_view json);

// Where the first thing of `wanted` is missing in `found` or another one, as "devices[0].allowMultipleAllocations is
// missing"; empty: all of it is there. What `found` has besides is the API server's. Both are JSON.
std::string first_difference(std::string_view wanted, std::string_view found);

}  // namespace enclayer::dra
