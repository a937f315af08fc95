// SPDX-License-Identifier: Apache-2.0
// One request and its reply over a unix socket, in the framing of frame_server.h. Blocks.
#pragma once

#include <chrono>
#include <filesystem>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::net {

// The most that is taken of a reply, in bytes.
inline constexpr std::uint32_t kMaxReply = 64 << 10;

// Connects, sends, receives, all of it within `timeout`. kNotFound and kUnavailable as connect_to(); kTimedOut; kIo
// when the server closes before the reply is whole; kMalformed for a reply of more than kMaxReply bytes.
Result<Bytes> call(const std::filesystem::path& socket, ByteView request, std::chrono::milliseconds timeout);

}  // namespace enclayer::net
