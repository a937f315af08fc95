// SPDX-License-Identifier: Apache-2.0
// Collateral that was fetched once, kept in a folder: for the next time, for when the service is away, and to be
// carried to a cluster without a network.
//
// DIR/<fmspc>-<ca>-<16 digits of SHA-256(url)>.json       one entry, the line below
// DIR/<fmspc>-<ca>-tdx-<16 digits of SHA-256(url)>.json   the same for TDX
// DIR/lock                                                held while an entry is compared and replaced
//
// An entry is one line of JSON: fmspc, ca, for TDX "tee":"tdx", url, fetched, collateral (the layout of enclayer/collateral.h), sha256 (of
// the same line without it). The checksum finds damage, not malice; nothing in the cache is believed, verify() judges.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collateral/contents.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::collateral {

struct Entry {
  std::string url;  // of the service, as service_url() gives it
  Time fetched;
  Collateral collateral;
  Contents contents;  // of `collateral`, read anew whenever an entry is made or read

  bool operator==(const Entry&) const = default;
};

// kMalformed when contents_of() does not like it.
Result<Entry> make_entry(std::string url, Time fetched, Collateral collateral);

// One line, with its line feed. An entry is at most 1 MiB long (attestation/json.h); real ones have 20 KB.
std::string to_line(const Entry& entry);
// With or without the line feed. kMalformed: damaged, or not an entry.
Result<Entry> entry_from_line(std::string_view line);

// ---- Age ----

enum class Age {
  kFresh,    // take it
  kDue,      // still holds; fetch a newer one if the service answers
  kExpired,  // does not hold at this time
};
std::string_view to_string(Age age);  // "fresh", "refresh due", "expired"

// How long an entry is taken without asking: Intel publishes a new TCB Info within hours when a platform has to be
// patched. And how long before its expiry it is asked for whatever its age.
inline constexpr std::chrono::hours kFreshFor{24}, kBeforeExpiry{24};
Age age_of(const Entry& entry, Time now);

// ---- To carry them elsewhere ----

// A bundle is a file: the line {"format":"enclayer collateral bundle","version":1,"entries":N}, then N entries. It is
// read up to these limits.
inline constexpr std::size_t kMaxBundleEntries = 1024, kMaxBundleSize = 64 << 20;  // bytes

// kExhausted beyond the limits.
Result<std::string> to_bundle(const std::vector<Entry>& entries);
// All or nothing. kMalformed names the line; kUnsupported is another version.
Result<std::vector<Entry>> entries_from_bundle(std::string_view text);

// ---- The folder ----

class Cache {
 public:
  // The folder is made, with mode 0700, when something is first kept.
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // nullopt: there is none. kMalformed: it is damaged.
  Result<std::optional<Entry>> find(const PlatformKind& platform, const std::string& url) const;

  // Keeps the entry unless the one that is there was issued later; false then. Readers see the old entry or the new,
  // also after a crash; several processes may do this at once.
  Result<bool> keep(const Entry& entry) const;

  struct Listed {
    std::string file;  // its name in the folder
    Result<Entry> entry;
  };
  // In the order of the names; at most kMaxBundleEntries of them, and none where there is no folder.
  Result<std::vector<Listed>> list() const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path path_of(const PlatformKind& platform, const std::string& url) const;

  std::filesystem::path folder_;
};

}  // namespace enclayer::collateral
