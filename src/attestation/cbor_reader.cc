// SPDX-License-Identifier: Apache-2.0
#include "attestation/cbor_reader.h"

#include <cbor.h>

namespace enclayer::attestation {

struct CborReader::Callbacks {
  template <Kind kind, class Number>
  static void number(void* reader, Number value) {
    static_cast<CborReader*>(reader)->kind_ = kind;
    static_cast<CborReader*>(reader)->value_ = value;
  }
  template <Kind kind>
  static void string(void* reader, cbor_data data, std::size_t size) {
    static_cast<CborReader*>(reader)->kind_ = kind;
    static_cast<CborReader*>(reader)->content_ = {data, size};
  }
};

std::optional<std::uint64_t> CborReader::next(Kind wanted) {
  static const cbor_callbacks kCallbacks = [] {
    cbor_callbacks all = cbor_empty_callbacks;  // what is not named here leaves kNone
    all.uint8 = Callbacks::number<Kind::kNumber, std::uint8_t>;
    all.uint16 = Callbacks::number<Kind::kNumber, std::uint16_t>;
    all.uint32 = Callbacks::number<Kind::kNumber, std::uint32_t>;
    all.uint64 = Callbacks::number<Kind::kNumber, std::uint64_t>;
    all.tag = Callbacks::number<Kind::kTag, std::uint64_t>;
    all.array_start = Callbacks::number<Kind::kArray, std::size_t>;
    all.map_start = Callbacks::number<Kind::kMap, std::size_t>;
    all.byte_string = Callbacks::string<Kind::kBytes>;
    all.string = Callbacks::string<Kind::kText>;
    return all;
  }();
  kind_ = Kind::kNone;
  const cbor_decoder_result result = cbor_stream_decode(rest_.data(), rest_.size(), &kCallbacks, this);
  if (result.status != CBOR_DECODER_FINISHED || kind_ != wanted) {
    rest_ = {};
    return std::nullopt;
  }
  rest_ = rest_.subspan(result.read);
  return value_;
}

}  // namespace enclayer::attestation
