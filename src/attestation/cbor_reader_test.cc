// SPDX-License-Identifier: Apache-2.0
// The reader beside libcbor's streaming decoder, which only tests link.
#include "attestation/cbor_reader.h"

#include <cbor.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace enclayer::attestation {
namespace {

struct Item {
  std::string kind;         // "": none that the reader knows
  std::uint64_t value = 0;  // of a string: how many bytes it has
  std::size_t rest = 0;     // bytes behind it

  bool operator==(const Item&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Item& item) {
  return out << '"' << item.kind << "\" " << item.value << ", " << item.rest << " bytes behind it";
}

Item by_libcbor(const Bytes& bytes) {
  cbor_callbacks callbacks = cbor_empty_callbacks;
  callbacks.uint8 = [](void* item, std::uint8_t value) { *static_cast<Item*>(item) = {"number", value}; };
  callbacks.uint16 = [](void* item, std::uint16_t value) { *static_cast<Item*>(item) = {"number", value}; };
  callbacks.uint32 = [](void* item, std::uint32_t value) { *static_cast<Item*>(item) = {"number", value}; };
  callbacks.uint64 = [](void* item, std::uint64_t value) { *static_cast<Item*>(item) = {"number", value}; };
  callbacks.tag = [](void* item, std::uint64_t value) { *static_cast<Item*>(item) = {"tag", value}; };
  callbacks.array_start = [](void* item, std::size_t value) { *static_cast<Item*>(item) = {"array", value}; };
  callbacks.map_start = [](void* item, std::size_t value) { *static_cast<Item*>(item) = {"map", value}; };
  callbacks.byte_string = [](void* item, cbor_data, std::size_t size) { *static_cast<Item*>(item) = {"bytes", size}; };
  callbacks.string = [](void* item, cbor_data, std::size_t size) { *static_cast<Item*>(item) = {"text", size}; };
  Item out;
  const cbor_decoder_result result = cbor_stream_decode(bytes.data(), bytes.size(), &callbacks, &out);
  if (result.status != CBOR_DECODER_FINISHED) return {};
  out.rest = out.kind.empty() ? 0 : bytes.size() - result.read;
  return out;
}

// Behind the item are zeros, each of them a number.
Item by_us(const Bytes& bytes) {
  Item out;
  auto read = [&](const char* kind, auto&& next) {
    CborReader reader(bytes);
    const std::optional<std::uint64_t> value = next(reader);
    if (value)
      out = {kind, *value};
    else
      EXPECT_TRUE(reader.done()) << "more can be read after what is no " << kind;
    for (; !reader.done(); ++out.rest) EXPECT_EQ(reader.number(), 0u);
  };
  auto size = [](const auto& content) {
    return content ? std::optional<std::uint64_t>(content->size()) : std::nullopt;
  };
  read("number", [](CborReader& reader) { return reader.number(); });
  read("tag", [](CborReader& reader) { return reader.tag(); });
  read("array", [](CborReader& reader) { return reader.array(); });
  read("map", [](CborReader& reader) { return reader.map(); });
  read("bytes", [&](CborReader& reader) { return size(reader.bytes()); });
  read("text", [&](CborReader& reader) { return size(reader.text()); });
  return out;
}

TEST(CborReader, reads_what_libcbor_reads_whatever_the_first_byte_and_however_much_follows) {
  int items = 0;
  for (int first = 0; first < 256; ++first) {
    if (first >= 0xc6 && first <= 0xd4)
      continue;  // tags 6 to 20: libcbor 0.8 refuses them, and nothing here asks for one
    for (std::size_t argument = 0; argument <= 8; ++argument)
      for (std::uint8_t last : {0x00, 0x03, 0x17, 0x18, 0xff})
        for (std::size_t zeros : {0, 1, 3, 30, 300}) {
          Bytes bytes{static_cast<std::uint8_t>(first)};
          bytes.resize(1 + argument, last == 0xff ? last : 0);
          if (argument > 0) bytes.back() = last;
          const int takes = (first & 0x1f) < 24 ? 0 : 1 << ((first & 0x1f) - 24) % 4;
          if (static_cast<int>(argument) > takes) continue;  // behind the item are zeros
          bytes.resize(bytes.size() + zeros);
          const Item read = by_us(bytes);
          EXPECT_EQ(read, by_libcbor(bytes)) << "first byte " << first << ", argument of " << argument
                                             << " bytes, the last " << int{last} << ", " << zeros << " zeros";
          items += !read.kind.empty();
        }
  }
  EXPECT_GT(items, 4000);
}

TEST(CborReader, gives_the_content_of_strings_where_it_lies) {
  const Bytes bytes{0x82, 0x43, 1, 2, 3, 0x62, 'o', 'k'};
  CborReader reader(bytes);
  EXPECT_EQ(reader.array(), 2u);
  EXPECT_EQ(reader.bytes()->data(), bytes.data() + 2);
  EXPECT_EQ(reader.text(), "ok");
  EXPECT_TRUE(reader.done());
}

}  // namespace
}  // namespace enclayer::attestation
