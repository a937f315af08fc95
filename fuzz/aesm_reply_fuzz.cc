// SPDX-License-Identifier: Apache-2.0
// Whatever sits behind the socket: a client reads its reply or refuses it.
#include "aesm/client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer::aesm;
  (void)read_init_size_reply({data, size});
  (void)read_init_reply({data, size});
  (void)read_quote_size_reply({data, size});
  (void)read_quote_reply({data, size}, true);
  (void)read_quote_reply({data, size}, false);
  return 0;
}
