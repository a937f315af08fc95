// SPDX-License-Identifier: Apache-2.0
// Files as one .tar.gz: ustar (POSIX.1-1988, "Extended tar Format") in gzip (RFC 1952), which every system opens. Why
// zlib and these few lines, and no archive library: docs/decisions/libraries.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::addon {

struct ArchiveFile {
  std::string name;  // "logs/a.log": folder/file, each part of it at most 100 bytes
  std::string bytes;
};

// All of them in `folder`, readable by the user alone, with one time. The same files give the same bytes.
// kInvalidArgument: a name that ustar has no room for.
Result<std::string> tar_gz(std::string_view folder, const std::vector<ArchiveFile>& files, Time time);

}  // namespace enclayer::addon
