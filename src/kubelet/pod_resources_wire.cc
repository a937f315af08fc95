// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_resources_wire.h"

#include <algorithm>

#include "base/bytes.h"
#include "kubelet/device_ids.h"

namespace enclayer::kubelet {
namespace {

constexpr std::size_t kMaxName = 253;  // a pod's; namespaces and containers have 63

Error malformed(const std::string& what) {
  return {ErrorKind::kMalformed, "the kubelet's pod-resources reply is malformed: " + what};
}

struct Field {
  std::uint32_t number = 0;
  bool is_bytes = false;  // everything else is stepped over
  ByteView bytes;
};

// The fields of one message, in protobuf's wire format.
class Fields {
 public:
  explicit Fields(ByteView message) : rest_(message) {}

  bool more() const { return !rest_.empty(); }

  Result<Field> next() {
    constexpr std::uint64_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;
    ENCLAYER_TRY(std::uint64_t tag, varint());
    if (tag >> 32 != 0 || tag >> 3 == 0) return malformed("a field has the number " + std::to_string(tag >> 3));
    Field field{static_cast<std::uint32_t>(tag >> 3), false, {}};
    std::uint64_t size = 0;
    switch (tag & 7) {
      case kVarint: ENCLAYER_CHECK(varint()); return field;
      case kFixed64: size = 8; break;
      case kFixed32: size = 4; break;
      case kBytes: {
        ENCLAYER_TRY(size, varint());
        field.is_bytes = true;
        break;
      }
      default: return malformed("a field has the wire type " + std::to_string(tag & 7));
    }
    if (size > rest_.size())
      return malformed("a field says it has " + std::to_string(size) + " bytes, " + std::to_string(rest_.size()) +
                       " are left");
    field.bytes = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(static_cast<std::size_t>(size));
    return field;
  }

 private:
  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(rest_.size(), 10); ++i) {
      value |= std::uint64_t{rest_[i] & 0x7fu} << (7 * i);
      if (rest_[i] & 0x80) continue;
      rest_ = rest_.subspan(i + 1);
      return value;
    }
    return malformed("it ends within a number, or the number has more than 10 bytes");
  }

  ByteView rest_;
};

// The next field, when it is one of ours: our numbers are all length-delimited.
Result<Field> next_of(Fields& fields, std::uint32_t last_known) {
  ENCLAYER_TRY(Field field, fields.next());
  if (field.number <= last_known && !field.is_bytes)
    return malformed("field " + std::to_string(field.number) + " is a number where bytes belong");
  return field;
}

Result<std::string> name(const Field& field, const char* whose) {
  std::string_view text = base::as_text(field.bytes);
  if (text.empty() || text.size() > kMaxName)
    return malformed(std::string("the name of a ") + whose + " has " + std::to_string(text.size()) +
                     " characters; Kubernetes has 1 to " + std::to_string(kMaxName));
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; }))
    return malformed(std::string("the name of a ") + whose + " has characters that are not printable");
  return std::string(text);
}

struct Wanted {
  std::string_view counted, listed;
  std::size_t containers = 0, devices_listed = 0;  // met so far
};

Result<> list_devices(ByteView message, Wanted& wanted, std::vector<std::uint32_t>& out) {
  for (Fields fields(message); fields.more();) {
    ENCLAYER_TRY(Field field, next_of(fields, 2));
    if (field.number != 2) continue;
    if (++wanted.devices_listed > kMaxListedInReply)
      return malformed("it has more than " + std::to_string(kMaxListedInReply) + " devices of " +
                       std::string(wanted.listed));
    if (auto index = device_index(base::as_text(field.bytes))) out.push_back(static_cast<std::uint32_t>(*index));
  }
  return {};
}

// ContainerDevices {resource_name = 1, device_ids = 2, ...}: the name may come last.
Result<> read_devices(ByteView message, Wanted& wanted, ContainerDevices& out) {
  std::uint64_t devices = 0;
  std::string_view resource;
  for (Fields fields(message); fields.more();) {
    ENCLAYER_TRY(Field field, next_of(fields, 2));
    if (field.number == 1)
      resource = base::as_text(field.bytes);
    else if (field.number == 2)
      ++devices;
  }
  if (resource.empty()) return {};
  if (resource == wanted.counted) out.devices += devices;
  return resource == wanted.listed ? list_devices(message, wanted, out.listed) : Result<>();
}

// ContainerResources {name = 1, devices = 2, ...}
Result<ContainerDevices> read_container(ByteView message, Wanted& wanted) {
  ContainerDevices container;
  for (Fields fields(message); fields.more();) {
    ENCLAYER_TRY(Field field, next_of(fields, 2));
    if (field.number == 1) {
      ENCLAYER_TRY(container.container, name(field, "container"));
    } else if (field.number == 2) {
      ENCLAYER_CHECK(read_devices(field.bytes, wanted, container));
    }
  }
  return container;
}

// PodResources {name = 1, namespace = 2, containers = 3, ...}: its containers are added to `out`.
Result<> read_pod(ByteView message, Wanted& wanted, std::vector<ContainerDevices>& out) {
  std::string pod, pod_namespace;
  const std::size_t first = out.size();
  for (Fields fields(message); fields.more();) {
    ENCLAYER_TRY(Field field, next_of(fields, 3));
    if (field.number == 1) {
      ENCLAYER_TRY(pod, name(field, "pod"));
    } else if (field.number == 2) {
      ENCLAYER_TRY(pod_namespace, name(field, "namespace"));
    } else if (field.number == 3) {
      if (++wanted.containers > kMaxContainersInReply)
        return malformed("it has more than " + std::to_string(kMaxContainersInReply) + " containers");
      ENCLAYER_TRY(ContainerDevices container, read_container(field.bytes, wanted));
      if (container.devices > 0 || !container.listed.empty()) out.push_back(std::move(container));
    }
  }
  for (std::size_t i = first; i < out.size(); ++i) {
    if (pod.empty() || pod_namespace.empty() || out[i].container.empty())
      return malformed("a container with devices has no name, or its pod has no name or namespace");
    out[i].pod = pod;
    out[i].pod_namespace = pod_namespace;
  }
  return {};
}

}  // namespace

Result<std::vector<ContainerDevices>> count_devices(ByteView reply, std::string_view counted, std::string_view listed) {
  std::vector<ContainerDevices> out;
  Wanted wanted{counted, listed};
  std::size_t pods = 0;
  for (Fields fields(reply); fields.more();) {  // ListPodResourcesResponse {pod_resources = 1}
    ENCLAYER_TRY(Field field, next_of(fields, 1));
    if (field.number != 1) continue;
    if (++pods > kMaxPodsInReply) return malformed("it has more than " + std::to_string(kMaxPodsInReply) + " pods");
    ENCLAYER_CHECK(read_pod(field.bytes, wanted, out));
  }
  return out;
}

}  // namespace enclayer::kubelet
