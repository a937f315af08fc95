// SPDX-License-Identifier: Apache-2.0
#include "base/pod_cgroup.h"

#include <algorithm>

namespace enclayer::base {
namespace {

constexpr std::string_view kSlice = ".slice", kScope = ".scope", kDeleted = " (deleted)";

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// With dashes put back, when it is one of the two forms that UIDs of pods have.
std::optional<std::string> pod_uid(std::string_view text, char dash) {
  if (text.size() == 32 && is_hex(text)) return std::string(text);
  if (text.size() != 36) return std::nullopt;
  std::string uid(text);
  for (std::size_t at : {8u, 13u, 18u, 23u}) {
    if (uid[at] != dash) return std::nullopt;
    uid[at] = '0';
  }
  if (!is_hex(uid)) return std::nullopt;
  for (std::size_t at : {8u, 13u, 18u, 23u}) uid[at] = '-';
  return uid;
}

// Of "<id>", "<runtime>-<id>", "<runtime>-<id>.scope"; empty for anything else.
std::string container_id(std::string_view name) {
  if (name.ends_with(kScope)) name.remove_suffix(kScope.size());
  if (name.starts_with("crio-conmon-")) return {};  // watches the container from outside
  name.remove_prefix(name.rfind('-') + 1);          // npos + 1 is 0
  return name.size() == 64 && is_hex(name) ? std::string(name) : std::string();
}

// `folder` is one name of a path, `rest` what comes below it.
std::optional<PodCgroup> pod_here(std::string_view folder, std::string_view rest) {
  std::string_view below = rest.substr(0, rest.find('/'));
  if (folder.starts_with("pod")) {
    auto uid = pod_uid(folder.substr(3), '-');
    if (!uid) return std::nullopt;
    return PodCgroup{std::move(*uid), container_id(below)};
  }
  std::size_t end = folder.find(kSlice);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view slice = folder.substr(0, end), after = folder.substr(end + kSlice.size());
  if (!after.empty()) {  // ":<runtime>:<id>"
    if (after.front() != ':') return std::nullopt;
    below = after.substr(after.rfind(':') + 1);
  }
  std::size_t dash = slice.rfind("-pod");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view parent = slice.substr(0, dash);
  for (std::string_view quality : {"-burstable", "-besteffort"})
    if (parent.ends_with(quality)) parent.remove_suffix(quality.size());
  if (parent != "kubepods" && !parent.ends_with("-kubepods")) return std::nullopt;
  auto uid = pod_uid(slice.substr(dash + 4), '_');
  if (!uid) return std::nullopt;
  return PodCgroup{std::move(*uid), container_id(below)};
}

std::optional<PodCgroup> pod_of_path(std::string_view path) {
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  while (!path.empty()) {
    std::string_view folder = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), folder.size() + 1));
    if (auto pod = pod_here(folder, path)) return pod;
  }
  return std::nullopt;
}

}  // namespace

std::optional<PodCgroup> pod_of_cgroup(std::string_view text) {
  std::optional<PodCgroup> found;
  while (!text.empty()) {  // "<hierarchy>:<controllers>:<path>", a line for each hierarchy of v1, one with 0 for v2
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    colon = line.find(':', colon + 1);
    if (colon == std::string_view::npos) continue;
    auto pod = pod_of_path(line.substr(colon + 1));
    if (pod && (!found || found->container_id.empty())) found = std::move(pod);
  }
  return found;
}

bool is_of_our_container(std::string_view text) {
  if (pod_of_cgroup(text)) return true;
  std::size_t at = text.starts_with("0::") ? 0 : text.find("\n0::") + 1;  // the line of cgroup v2
  if (!text.substr(at).starts_with("0::")) return false;
  std::string_view path = text.substr(at + 3);
  path = path.substr(0, path.find('\n'));
  if (!path.starts_with("/..")) return path == "/";
  return !path.substr(3).starts_with("/..");
}

}  // namespace enclayer::base
