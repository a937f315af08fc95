// SPDX-License-Identifier: Apache-2.0
// The claims that are prepared on this node. What they hold of a section never exceeds it, whatever scheduler and
// kubelet say: that is the last line of defence against EPC that is given twice.
//
// The ledger is on disk between two calls and nowhere else: while the driver is updated, two instances of it take turns,
// and a call may come to either. Whoever changes it holds the lock beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "dra/node_devices.h"
#include "dra/resource_claim.h"
#include "enclayer/error.h"

namespace enclayer::dra {

struct PreparedClaim {
  Allocation allocation;
  std::uint64_t generation = 0;  // of its slot (slots::Holder): no two claims have the same

  bool operator==(const PreparedClaim&) const = default;
};

class Ledger {
 public:
  static constexpr std::size_t kMostClaims = 4'096;  // nodes have some hundred pods

  // Writes the allocation down; one that the same claim had before is replaced. Prepared twice is prepared once, with
  // the same generation. kExhausted: a section would be exceeded, all of them together would, or there are kMostClaims.
  // kConflict: another claim holds one of its shares, or it has one twice. `devices` are those of now: what was given of
  // a section before it became smaller stays given.
  Result<> hold(Allocation allocation, const NodeDevices& devices);

  // Not knowing the claim is all right.
  void release(const std::string& uid) { claims_.erase(uid); }

  std::uint64_t held_mib(std::string_view device) const;
  std::uint64_t held_mib() const;                                                 // of all devices
  const std::map<std::string, PreparedClaim>& claims() const { return claims_; }  // by UID
  std::uint64_t generation() const { return generation_; }                        // the last that was given

  bool operator==(const Ledger&) const = default;

 private:
  friend Result<Ledger> parse_checkpoint(std::string_view text);
  std::map<std::string, PreparedClaim> claims_;
  std::uint64_t generation_ = 0;
};

// Two lines: the ledger as JSON, and the SHA-256 of that in hexadecimal digits.
// {"version": 1, "generation": 7, "claims": {"<uid>": {"namespace": "bank", "name": "ledger-0-epc", "pod": "ledger-0",
//   "generation": 7, "shares": [{"request": "epc", "device": "epc-numa0", "shareID": "<uuid>", "epcMiB": 64,
//   "quotes": "Socket"}]}}}
std::string checkpoint_text(const Ledger& ledger);

// kMalformed when a byte of it is another one, or it is longer than kMostCheckpoint; kUnsupported: of a newer version.
inline constexpr std::size_t kMostCheckpoint = std::size_t{8} << 20;
Result<Ledger> parse_checkpoint(std::string_view text);

class Checkpoint {
 public:
  // In `folder`: `claims`, the lock file `claims.lock`, and `plugin`, by which the driver knows what is not its own.
  explicit Checkpoint(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // kTimedOut when another holds it for longer than `timeout`.
  Result<base::UniqueFd> lock(std::chrono::milliseconds timeout) const;

  // To be called, as what follows, by the holder of the lock. No file: an empty ledger. What parse_checkpoint() says.
  Result<Ledger> load() const;

  // Moves the file to `claims.damaged`, where people can look at it.
  Result<> move_aside() const;

  // As a whole or not at all, and on the disk when it returns.
  Result<> save(const Ledger& ledger) const;

  // How much EPC the device plugin gives or has given, in MiB, as it wrote last (dra/plugin_part.h). kUnavailable: it
  // never has. kMalformed: it is no number.
  Result<std::uint64_t> plugin_mib() const;
  Result<> set_plugin_mib(std::uint64_t mib) const;

 private:
  std::filesystem::path file() const { return folder_ / "claims"; }
  std::filesystem::path plugin_file() const { return folder_ / "plugin"; }
  std::filesystem::path folder_;
};

}  // namespace enclayer::dra
