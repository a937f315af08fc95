// SPDX-License-Identifier: Apache-2.0
#include "dra/slice_publisher.h"

#include <algorithm>

#include "base/log.h"

namespace enclayer::dra {
namespace {

constexpr auto kSlices = "/apis/resource.k8s.io/v1/resourceslices";

Result<> remove(ApiClient& api, const std::string& name) {
  auto done = api.send("DELETE", std::string(kSlices) + "/" + name);
  if (!done && done.error().kind() != ErrorKind::kNotFound) return done.error();
  return {};
}

}  // namespace

std::string slices_path(const std::string& node) {
  return std::string(kSlices) + "?fieldSelector=spec.nodeName%3D" + node + "%2Cspec.driver%3D" + kDriver;
}

Result<> SlicePublisher::sync(const NodeDevices& devices) {
  ENCLAYER_TRY(ApiClient api, api_());
  ENCLAYER_TRY(const std::string list, api.send("GET", slices_path(devices.node)));
  ENCLAYER_TRY(const auto slices, parse_slices(list));
  const SeenSlice* ours = nullptr;
  for (const SeenSlice& slice : slices) {
    generation_ = std::max(generation_, slice.generation);
    if (slice.name == slice_name(devices.node)) ours = &slice;
  }
  if (!ours || !first_difference(slice_spec(devices, ours->generation), ours->spec).empty())
    ENCLAYER_CHECK(write(api, devices, ours));
  for (const SeenSlice& slice : slices) {
    if (&slice == ours) continue;
    base::log::info("slice of another version removed", {{"slice", slice.name}});
    ENCLAYER_CHECK(remove(api, slice.name));
  }
  return {};
}

Result<> SlicePublisher::write(ApiClient& api, const NodeDevices& devices, const SeenSlice* there) {
  // The node may be another one of the same name by now.
  ENCLAYER_TRY(const NodeFacts node, read_node(api, devices.node));
  const std::string name = slice_name(devices.node), spec = slice_spec(devices, generation_ + 1);
  const std::string object = slice_object(devices.node, node.uid, spec, there ? there->resource_version : "");
  ENCLAYER_TRY(const std::string answer,
               there ? api.send("PUT", std::string(kSlices) + "/" + name, object) : api.send("POST", kSlices, object));
  ENCLAYER_TRY(const SeenSlice kept, parse_slice(answer));
  ++generation_;
  if (std::string why = first_difference(spec, kept.spec); !why.empty()) {
    ENCLAYER_CHECK(remove(api, name));
    return Error(
        ErrorKind::kUnsupported,
        "this cluster does not keep what ResourceSlice " + name + " says: " + why +
            ". EPC by amounts needs Kubernetes 1.36 or later with the feature DRAConsumableCapacity on, in API "
            "server and scheduler; the device plugin needs neither");
  }
  base::log::info("ResourceSlice written", {{"slice", name},
                                            {"generation", generation_},
                                            {"epc_mib", devices.epc_mib()},
                                            {"devices", devices.sections.size() + devices.provision}});
  return {};
}

}  // namespace enclayer::dra
