// SPDX-License-Identifier: Apache-2.0
#include "collateral/cache.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::collateral {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t kMaxUrl = 2048;
constexpr std::string_view kBundleFormat = "enclayer collateral bundle";
constexpr std::uint64_t kBundleVersion = 1;
constexpr std::string_view kEntrySuffix = ".json";

using base::malformed;

std::string dump(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

}  // namespace

// ---- Entries ----

Result<Entry> make_entry(std::string url, Time fetched, Collateral collateral) {
  ENCLAYER_TRY(Contents contents, contents_of(collateral));
  return Entry{std::move(url), fetched, std::move(collateral), std::move(contents)};
}

std::string to_line(const Entry& entry) {
  ordered_json json;
  json["fmspc"] = base::to_hex(entry.contents.platform.fmspc);
  json["ca"] = to_string(entry.contents.platform.ca);
  if (entry.contents.platform.tee == Tee::kTdx) json["tee"] = to_string(Tee::kTdx);
  json["url"] = entry.url;
  json["fetched"] = format_time(entry.fetched);
  json["collateral"] = ordered_json::parse(to_json(entry.collateral));
  json["sha256"] = base::sha256_hex(dump(json));
  return dump(json) + "\n";
}

Result<Entry> entry_from_line(std::string_view line) {
  // The bounds first: size, depth, no key twice. Then the values, of which the order counts for the checksum.
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(line));
  ENCLAYER_TRY(std::string sum, document.root().text("sha256"));
  ENCLAYER_TRY(std::string url, document.root().text("url"));
  ENCLAYER_TRY(std::string fetched_text, document.root().text("fetched"));
  ENCLAYER_TRY(std::string fmspc, document.root().text("fmspc"));
  ENCLAYER_TRY(std::string ca, document.root().text("ca"));
  std::string tee(to_string(Tee::kSgx));
  if (document.root().has("tee")) {
    ENCLAYER_TRY(tee, document.root().text("tee"));
  }
  ENCLAYER_CHECK(document.root().object("collateral"));
  auto json = ordered_json::parse(line, nullptr, false);
  if (json.is_discarded()) return malformed("not JSON");
  json.erase("sha256");
  if (base::sha256_hex(dump(json)) != sum) return malformed("damaged: its checksum is not that of its content");
  // It will be shown to people.
  bool plain = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (url.empty() || url.size() > kMaxUrl || !plain)
    return malformed("its \"url\" is none: \"" + base::printable(url, 64) + "\"");
  ENCLAYER_TRY(Time fetched, parse_time(fetched_text));
  ENCLAYER_TRY(Collateral collateral, parse_collateral_json(dump(json["collateral"])));
  ENCLAYER_TRY(Entry entry, make_entry(std::move(url), fetched, std::move(collateral)));
  const PlatformKind& platform = entry.contents.platform;
  if (fmspc != base::to_hex(platform.fmspc) || ca != to_string(platform.ca) || tee != to_string(platform.tee))
    return malformed("it says to be of FMSPC " + base::printable(fmspc, 64) + ", " + base::printable(ca, 64) + " CA, " +
                     base::printable(tee, 64) + "; its collateral is of " + to_string(platform));
  return entry;
}

// ---- Age ----

std::string_view to_string(Age age) {
  switch (age) {
    case Age::kFresh: return "fresh";
    case Age::kDue: return "refresh due";
    case Age::kExpired: break;
  }
  return "expired";
}

Age age_of(const Entry& entry, Time now) {
  if (!entry.contents.validity.holds(now)) return Age::kExpired;
  // Fetched in the future: a clock was set back, its age is not known.
  bool fresh =
      entry.fetched <= now && now < entry.fetched + kFreshFor && now + kBeforeExpiry < entry.contents.validity.until;
  return fresh ? Age::kFresh : Age::kDue;
}

// ---- Bundles ----

Result<std::string> to_bundle(const std::vector<Entry>& entries) {
  auto too_much = [&] {
    return Error(ErrorKind::kExhausted, std::to_string(entries.size()) + " entries are too much for one bundle of " +
                                            std::to_string(kMaxBundleEntries) + " entries and " +
                                            std::to_string(kMaxBundleSize) + " bytes");
  };
  if (entries.size() > kMaxBundleEntries) return too_much();
  std::string out = dump({{"format", kBundleFormat}, {"version", kBundleVersion}, {"entries", entries.size()}}) + "\n";
  for (const Entry& entry : entries) {
    out += to_line(entry);
    if (out.size() > kMaxBundleSize) return too_much();
  }
  return out;
}

Result<std::vector<Entry>> entries_from_bundle(std::string_view text) {
  if (text.size() > kMaxBundleSize)
    return malformed("the bundle has " + std::to_string(text.size()) + " bytes, at most " +
                     std::to_string(kMaxBundleSize) + " are read");
  auto next_line = [&]() -> std::optional<std::string_view> {
    std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
  };
  auto header_line = next_line();
  auto header = base::JsonDocument::parse(header_line.value_or(""));
  auto format = header ? header->root().text("format") : Result<std::string>(header.error());
  if (!format || *format != kBundleFormat)
    return malformed("this is no collateral bundle; `enclayer collateral export` makes one");
  ENCLAYER_TRY(std::uint64_t version, header->root().number("version", UINT32_MAX));
  if (version != kBundleVersion)
    return Error(ErrorKind::kUnsupported, "the bundle is of version " + std::to_string(version) + ", only version " +
                                              std::to_string(kBundleVersion) + " is known here");
  ENCLAYER_TRY(std::uint64_t count, header->root().number("entries", kMaxBundleEntries));
  std::vector<Entry> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto line = next_line();
    if (!line)
      return malformed("the bundle is cut off: its first line speaks of " + std::to_string(count) + " entries, " +
                       std::to_string(i) + " are there");
    auto entry = entry_from_line(*line);
    if (!entry) return entry.error().with_context("the bundle's line " + std::to_string(i + 2));
    out.push_back(std::move(*entry));
  }
  if (!text.empty()) return malformed("the bundle goes on after its " + std::to_string(count) + " entries");
  return out;
}

// ---- The folder ----

fs::path Cache::path_of(const PlatformKind& platform, const std::string& url) const {
  return folder_ / (base::to_hex(platform.fmspc) + "-" + std::string(to_string(platform.ca)) +
                    (platform.tee == Tee::kTdx ? "-tdx-" : "-") + base::sha256_hex(url).substr(0, 16) +
                    std::string(kEntrySuffix));
}

Result<std::optional<Entry>> Cache::find(const PlatformKind& platform, const std::string& url) const {
  fs::path path = path_of(platform, url);
  auto text = base::read_text(path, base::JsonDocument::kMaxSize);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::optional<Entry>();
  if (!text) return text.error();
  auto entry = entry_from_line(*text);
  if (!entry) return entry.error().with_context(path.string());
  if (entry->contents.platform != platform || entry->url != url)
    return malformed(path.string() + " is of " + to_string(entry->contents.platform) + " from " + entry->url);
  return std::optional<Entry>(std::move(*entry));
}

Result<bool> Cache::keep(const Entry& entry) const {
  std::string line = to_line(entry);
  if (line.size() > base::JsonDocument::kMaxSize)
    return Error(ErrorKind::kExhausted, "an entry of " + std::to_string(line.size()) +
                                            " bytes is too long for the cache, at most " +
                                            std::to_string(base::JsonDocument::kMaxSize) + " are kept");
  if (!fs::is_directory(folder_)) {  // the mode of a folder that is there is its owner's business
    ENCLAYER_CHECK(base::make_folder(folder_, 0700));
  }
  ENCLAYER_TRY(base::UniqueFd lock, base::lock_file(folder_ / "lock"));
  fs::path path = path_of(entry.contents.platform, entry.url);
  // Left by whoever was killed while writing this entry: nobody writes it now, we hold the lock.
  std::string temporary = path.filename().string() + ".";
  for (const std::string& name : base::Root(folder_).list("")) {
    std::error_code ignored;
    if (name.starts_with(temporary)) fs::remove(folder_ / name, ignored);
  }
  auto there = find(entry.contents.platform, entry.url);
  if (there && *there) {
    // Collateral does not go back: a service that lost its newest state must not take it from us.
    auto issued = [](const Entry& e) { return std::pair(e.contents.validity.from, e.fetched); };
    if (issued(**there) > issued(entry)) return false;
  }
  ENCLAYER_CHECK(base::write_file_atomic(path, base::as_bytes(line), 0600));
  return true;
}

Result<std::vector<Cache::Listed>> Cache::list() const {
  std::error_code error;
  fs::directory_iterator opened(folder_, error);
  if (error && error != std::errc::no_such_file_or_directory)
    return base::errno_error(error.value(), "cannot list " + folder_.string());
  std::vector<Listed> out;
  for (const std::string& name : base::Root(folder_).list("")) {
    if (!name.ends_with(kEntrySuffix)) continue;
    if (out.size() == kMaxBundleEntries) break;
    auto text = base::read_text(folder_ / name, base::JsonDocument::kMaxSize);
    out.push_back({name, text ? entry_from_line(*text) : Result<Entry>(text.error())});
  }
  return out;
}

}  // namespace enclayer::collateral
