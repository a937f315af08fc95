// The devices of one resource, kept as the bytes that the kubelet is sent: an encoded ListAndWatchResponse. Encoding
// 262,144 devices as objects would take 80 MB and half a second; the bytes are 4 MB and made once.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::kubelet {

// The kubelet reads with grpc-go's default limit and has no setting for it (kubernetes#109305, #127049). One byte more
// breaks the stream and takes the whole resource away.
inline constexpr std::size_t kMaxListBytes = 4'194'304;

class DeviceList {
 public:
  // `count` healthy devices without topology, named by DeviceId. kExhausted when the list would not fit into
  // kMaxListBytes.
  static Result<DeviceList> of(std::size_t count);

  // Bytes that a list of `count` healthy devices takes: 13 and the ID's length for each.
  static std::size_t encoded_size(std::size_t count);

  // The most devices that fit: 262,408.
  static std::size_t max_count();

  std::size_t count() const { return count_; }
  const std::shared_ptr<const Bytes>& bytes() const { return bytes_; }

  // Which device has this ID; nullopt when none in this list has.
  std::optional<std::size_t> index_of(std::string_view id) const;

 private:
  DeviceList(std::size_t count, std::shared_ptr<const Bytes> bytes) : count_(count), bytes_(std::move(bytes)) {}

  std::size_t count_;
  std::shared_ptr<const Bytes> bytes_;
};

}  // namespace enclayer::kubelet
