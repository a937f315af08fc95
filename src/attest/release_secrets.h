// SPDX-License-Identifier: Apache-2.0
// Secrets in a folder, a file each: a mounted Kubernetes Secret, or one that somebody filled. What a caller names never
// leads out of it: a name is letters, digits, '-', '_' and '.', and does not begin with a dot; the kernel follows links
// only while they stay inside (openat2 with RESOLVE_BENEATH), which is what kubelet's ..data needs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "base/file.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attest {

class SecretFolder {
 public:
  static constexpr std::size_t kMaxName = 253;  // characters, as of a key of a Secret

  static Result<SecretFolder> open(const std::filesystem::path& folder);

  static bool is_name(std::string_view name);

  // Read anew each time: a Secret that was updated counts from then on. kInvalidArgument: no name. kNotFound: nothing of
  // that name. kMalformed: a file that is empty or has more than `max` bytes. kPermissionDenied: no plain file, a link that
  // leads out, or one that we may not read.
  Result<Bytes> read(std::string_view name, std::size_t max) const;

 private:
  SecretFolder(std::filesystem::path path, base::UniqueFd folder)
      : path_(std::move(path)), folder_(std::move(folder)) {}
  std::filesystem::path path_;
  base::UniqueFd folder_;
};

}  // namespace enclayer::attest
