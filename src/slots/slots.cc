// SPDX-License-Identifier: Apache-2.0
#include "slots/slots.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::slots {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

static_assert(kMostHoldersFile <= base::JsonDocument::kMaxSize);
// A slot's entry has six of ours; a newer plugin may say more.
constexpr std::size_t kMostValues = kMostSlots * 16;

constexpr std::string_view kLabel = "system_u:object_r:container_file_t:s0";

bool is_word(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

constexpr base::Malformed malformed{"the slots' holders "};

Result<std::string> word_of(base::JsonValue entry, const char* key) {
  if (!entry.has(key)) return std::string();
  auto text = entry.text(key);
  if (!text || !is_holder_name(*text))
    return malformed(std::string("have a \"") + key + "\" that is no name of Kubernetes");
  return text;
}

Result<std::uint64_t> number_of(base::JsonValue entry, const char* key) {
  if (!entry.has(key)) return std::uint64_t{0};
  auto number = entry.number(key, std::numeric_limits<std::uint64_t>::max());
  if (!number) return malformed(std::string("have a \"") + key + "\" that is no whole number");
  return number;
}

Result<Holder> holder_of(base::JsonValue entry) {
  Holder holder;
  ENCLAYER_TRY(holder.generation, number_of(entry, "generation"));
  ENCLAYER_TRY(holder.pod_namespace, word_of(entry, "namespace"));
  ENCLAYER_TRY(holder.pod, word_of(entry, "pod"));
  ENCLAYER_TRY(holder.container, word_of(entry, "container"));
  ENCLAYER_TRY(holder.epc_mib, number_of(entry, "epcMiB"));
  ENCLAYER_TRY(holder.pod_uid, word_of(entry, "uid"));
  if (holder.pod_namespace.empty() != holder.pod.empty() || holder.container.empty() != holder.pod.empty())
    return malformed("have a slot with some of \"namespace\", \"pod\" and \"container\", and not all of them");
  if (!holder.named()) holder = {holder.generation};
  return holder;
}

// Every look of the device plugin comes by here, and writing the attribute would wake it for the next one.
void label(int folder) {
  std::error_code error;
  if (!fs::exists("/sys/fs/selinux/enforce", error)) return;
  char now[256] = {};
  const ssize_t size = ::fgetxattr(folder, "security.selinux", now, sizeof now - 1);
  // Where it is refused the policy decides what a container sees.
  if (size < 0 || now != kLabel) ::fsetxattr(folder, "security.selinux", kLabel.data(), kLabel.size() + 1, 0);
}

// Nobody but the owner may move what is in it.
Result<> make_parent(const fs::path& parent) {
  struct stat found {};
  if (::stat(parent.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && (found.st_mode & 0022) == 0) return {};
  return base::make_folder(parent, 0755);
}

}  // namespace

bool is_slot_name(std::string_view name) { return is_word(name, 255); }
bool is_holder_name(std::string_view name) { return is_word(name, 253); }

Result<> make_slot(const fs::path& parent, std::string_view name) {
  if (!is_slot_name(name))
    return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(name, 255) + "\" is no name of a slot");
  ENCLAYER_CHECK(make_parent(parent));
  const fs::path path = parent / name;
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return base::errno_error(errno, "cannot make the slot " + path.string());
  base::UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder && (errno == ENOTDIR || errno == ELOOP))
    return Error(ErrorKind::kConflict, path.string() + " is there and is no folder: remove it");
  struct stat found {};
  if (!folder || ::fstat(folder.get(), &found) != 0)
    return base::errno_error(errno, "cannot look at the slot " + path.string());
  if (found.st_gid != kHelperGroup && ::fchown(folder.get(), static_cast<uid_t>(-1), kHelperGroup) != 0 &&
      errno != EPERM)
    return base::errno_error(errno, "cannot give the slot " + path.string() + " to group 64213");
  if ((found.st_mode & 07777) != 0775 && ::fchmod(folder.get(), 0775) != 0)
    return base::errno_error(errno, "cannot open the slot " + path.string() + " to its group");
  label(folder.get());
  return {};
}

std::string holders_json(const Holders& holders) {
  Json slots = Json::object();
  for (const auto& [slot, holder] : holders) {
    Json& entry = slots[slot] = {{"generation", holder.generation}};
    if (!holder.named()) continue;
    entry["namespace"] = holder.pod_namespace;
    entry["pod"] = holder.pod;
    entry["container"] = holder.container;
    entry["epcMiB"] = holder.epc_mib;
    if (!holder.pod_uid.empty()) entry["uid"] = holder.pod_uid;
  }
  return Json{{"slots", std::move(slots)}}.dump() + "\n";
}

Result<> write_holders(const fs::path& file, const Holders& holders) {
  return base::write_file_atomic(file, base::as_bytes(holders_json(holders)), 0644);
}

Result<Holders> parse_holders(std::string_view json) {
  auto document = base::JsonDocument::parse(json, kMostValues);
  if (!document) return malformed("cannot be read: " + document.error().message());
  auto slots = document->root().object("slots");
  if (!slots) return malformed("are no object with \"slots\": " + slots.error().message());
  auto entries = slots->members();
  if (!entries) return malformed("have a slot that is no object: " + entries.error().message());
  if (entries->size() > kMostSlots) return malformed("are more than " + std::to_string(kMostSlots));
  Holders holders;
  for (const auto& [slot, entry] : *entries) {
    if (!is_slot_name(slot)) return malformed("have \"" + base::printable(slot, 60) + "\", which is no name of a slot");
    ENCLAYER_TRY(holders[slot], holder_of(entry));
  }
  return holders;
}

Result<Holders> read_holders(const fs::path& file) {
  ENCLAYER_TRY(std::string text, base::read_text(file, kMostHoldersFile));
  return parse_holders(text);
}

}  // namespace enclayer::slots
