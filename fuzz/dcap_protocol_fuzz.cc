// SPDX-License-Identifier: Apache-2.0
// What a quote worker and its front end say to each other: whatever is accepted has to come out the same again.
#include <cstdlib>

#include "quoting/dcap_protocol.h"

using namespace enclayer;
using namespace enclayer::quoting;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView bytes(data, size);
  if (auto request = decode_dcap_request(bytes)) {
    Bytes again = encode(*request);
    if (again.size() != size) std::abort();
    if (encode(decode_dcap_request(again).value()) != again) std::abort();
  }
  for (DcapCall call : {DcapCall::kInit, DcapCall::kSize, DcapCall::kQuote, DcapCall::kFiles})
    if (auto reply = decode_dcap_reply(bytes, call)) {
      Bytes again = encode(*reply, call);
      if (again.size() != size) std::abort();
      if (encode(decode_dcap_reply(again, call).value(), call) != again) std::abort();
    }
  if (auto hello = decode_dcap_hello(bytes); hello && encode(*hello).size() != size) std::abort();
  if (auto length = length_of_quote(bytes); length && (*length > size || *length > kMostQuote)) std::abort();
  return 0;
}
