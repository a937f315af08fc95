// SPDX-License-Identifier: Apache-2.0
// A listening socket that a test makes at a path, and who connects there.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <filesystem>

#include "net/unix_socket.h"

namespace enclayer::fake {

inline Result<base::UniqueFd> listen_at(const std::filesystem::path& path,
                                        net::Descriptors descriptors = net::Descriptors::kRefused) {
  base::UniqueFd folder(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ENCLAYER_TRY(net::PlacedSocket placed, net::place_socket(folder.get(), path.filename(), descriptors));
  return std::move(placed.listener);
}

// Waits for the next one.
inline base::UniqueFd accept_from(const base::UniqueFd& listener) {
  pollfd knock{listener.get(), POLLIN, 0};
  ::poll(&knock, 1, 20'000);
  return base::UniqueFd(::accept(listener.get(), nullptr, nullptr));
}

}  // namespace enclayer::fake
