// SPDX-License-Identifier: Apache-2.0
#include "troubles/troubles.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "base/bytes.h"
#include "base/dns_name.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::troubles {
namespace {

namespace log = base::log;
using Json = nlohmann::json;

constexpr std::uint64_t kMostCount = 1'000'000;
constexpr std::size_t kMostUid = 64;

constexpr base::Malformed malformed{"troubles "};

const Kind* kind_of(std::string_view reason) {
  auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& kind) { return kind.reason == reason; });
  return found == kKinds.end() ? nullptr : found;
}

Result<Time> time_in(base::JsonValue entry, const char* key) {
  ENCLAYER_TRY(const std::string text, entry.text(key));
  return parse_time(text);
}

bool may_be(const Pod& pod) {
  return base::is_dns_name(pod.space, 63) && base::is_dns_name(pod.name) &&
         (pod.uid.empty() || base::is_dns_name(pod.uid, kMostUid));
}

Result<Pod> pod_in(base::JsonValue entry) {
  Pod pod{entry["namespace"].text(), entry["name"].text(), entry["uid"].text()};
  if (!may_be(pod)) return malformed("have a pod without a namespace, name and UID of Kubernetes");
  return pod;
}

Result<Trouble> trouble_in(base::JsonValue entry) {
  const Kind* kind = kind_of(entry["reason"].text());
  if (kind == nullptr) return malformed("have a reason that is none of ours");
  Trouble out{*kind, entry["says"].text(), {}, {}};
  if (out.says.empty() || out.says != base::printable(out.says, kMostSays))
    return malformed("have a sentence that is missing, too long or not printable");
  auto first = time_in(entry, "first"), last = time_in(entry, "last");
  auto count = entry.number("count", kMostCount);
  if (!first || !last || *first > *last || !count || *count == 0)
    return malformed("have times or a count that cannot be");
  out.first = *first;
  out.last = *last;
  out.count = static_cast<std::uint32_t>(*count);
  out.over = entry["over"].truth();
  if (out.over && kind->over.empty()) return malformed("have an end of what has none");
  const auto pods = entry["pods"].entries();
  if (pods.size() > kMostPods) return malformed("have more pods than " + std::to_string(kMostPods));
  for (const auto& [none, each] : pods) {
    ENCLAYER_TRY(auto pod, pod_in(each));
    out.pods.push_back(std::move(pod));
  }
  return out;
}

}  // namespace

std::string to_json(const std::vector<Trouble>& troubles) {
  Json list = Json::array();
  for (const Trouble& trouble : troubles) {
    Json pods = Json::array();
    for (const Pod& pod : trouble.pods) {
      if (pods.size() == kMostPods) break;
      pods.push_back({{"namespace", pod.space}, {"name", pod.name}, {"uid", pod.uid}});
    }
    list.push_back({{"reason", trouble.kind.reason},
                    {"says", base::printable(trouble.says, kMostSays)},
                    {"first", format_time(trouble.first)},
                    {"last", format_time(trouble.last)},
                    {"count", trouble.count},
                    {"over", trouble.over},
                    {"pods", std::move(pods)}});
  }
  return Json{{"troubles", std::move(list)}}.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<std::vector<Trouble>> parse_troubles(std::string_view json) {
  auto document = base::JsonDocument::parse(json, base::JsonLimits{.size = kMostFile, .values = 1024});
  if (!document) return malformed("cannot be read: " + document.error().message());
  auto entries = document->root().objects("troubles");
  if (!entries) return malformed("are no object with a list \"troubles\"");
  if (entries->size() > kKinds.size()) return malformed("are more than there are kinds of them");
  std::vector<Trouble> out;
  for (const base::JsonValue& entry : *entries) {
    ENCLAYER_TRY(auto trouble, trouble_in(entry));
    for (const Trouble& other : out)
      if (other.kind == trouble.kind) return malformed("have \"" + std::string(trouble.kind.reason) + "\" twice");
    out.push_back(std::move(trouble));
  }
  return out;
}

Result<std::string> text_of(const std::filesystem::path& folder, Time now) {
  const std::string path = folder / kFile;
  // A pipe in its place must not hold us up.
  base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::string();
  struct stat found {};
  if (!file && errno != ELOOP) return base::errno_error(errno, "cannot open " + path);
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode))
    return Error(ErrorKind::kMalformed, path + " is no plain file");
  const auto age = now - Time(std::chrono::seconds(found.st_mtim.tv_sec));
  if (std::chrono::abs(age) > kStale) return std::string();
  ENCLAYER_TRY(const Bytes bytes, base::read_all(file.get(), path, kMostFile));
  return std::string(base::as_text(bytes));
}

Board::Board(std::filesystem::path folder, Time now) : folder_(std::move(folder)) {
  auto text = text_of(folder_, now);
  if (!text || text->empty()) return;
  auto before = parse_troubles(*text);
  if (!before) return;
  for (Trouble& trouble : *before) {
    const std::string_view reason = trouble.kind.reason;
    entries_[reason] = {std::move(trouble), std::nullopt, true};
  }
}

void Board::say(const Kind& kind, std::string_view wrong, Time now, const Pods& pods) {
  Entry& entry = entries_[kind.reason];
  auto& told = entry.told;
  auto count_again = [&] {
    told->count = static_cast<std::uint32_t>(std::min<std::uint64_t>(told->count + 1, kMostCount));
    told->last = std::max(told->first, now);
    told->says = base::printable(wrong, kMostSays);
    told->pods = pods ? pods() : std::vector<Pod>();
    std::erase_if(told->pods, [](const Pod& pod) { return !may_be(pod); });
    if (told->pods.size() > kMostPods) told->pods.resize(kMostPods);
  };
  if (wrong.empty() == (!told || told->over)) {
    entry.changes.reset();
    entry.of_before = false;
    if (!told || now - told->last < kRepeats) return;
    if (told->over)
      told.reset();
    else
      count_again();
    return;
  }
  if (!entry.changes || now < *entry.changes) entry.changes = now;
  if (now - *entry.changes < kSettles) return;
  if (!wrong.empty()) {
    if (!told) told = Trouble{kind, {}, *entry.changes, *entry.changes, 0};
    told->over = false;
    count_again();
  } else if (kind.over.empty()) {
    told.reset();
  } else {
    told->over = true;
    told->last = std::max(told->first, now);
  }
  entry.changes.reset();
  entry.of_before = false;
}

std::vector<Trouble> Board::current() const {
  std::vector<Trouble> out;
  for (const auto& [reason, entry] : entries_)
    if (entry.told && !entry.of_before) out.push_back(*entry.told);
  return out;
}

void Board::keep(Time now) {
  const auto troubles = current();
  if (troubles.empty() && written_.empty()) return;
  const bool is_due = !troubles.empty() && std::chrono::abs(now - wrote_) >= kConfirms;
  std::string text = to_json(troubles);
  if (text == written_ && !is_due) return;
  std::error_code error;
  Result<> done;
  if (!std::filesystem::is_directory(folder_, error)) done = base::make_folder(folder_, 0755);
  if (done) done = base::write_file_atomic(file(), base::as_bytes(text), 0644);
  if (!done && !said_unwritten_)
    log::warn("what is wrong here cannot be left for Events", {{"reason", done.error().message()}});
  said_unwritten_ = !done;
  if (!done) return;
  written_ = troubles.empty() ? std::string() : std::move(text);
  wrote_ = now;
}

}  // namespace enclayer::troubles
