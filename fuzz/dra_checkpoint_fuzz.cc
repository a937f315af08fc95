// SPDX-License-Identifier: Apache-2.0
// The ledger of prepared claims, under a checksum that fits: what is accepted is written as it is read.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "dra/ledger.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(dra::parse_checkpoint(text));
  text += "\n";
  auto ledger = dra::parse_checkpoint(text + base::sha256_hex(text) + "\n");
  if (!ledger) return 0;
  for (const auto& [uid, claim] : ledger->claims())
    if (!dra::check_name(claim.allocation.claim) || claim.allocation.claim.uid != uid) std::abort();
  auto again = dra::parse_checkpoint(dra::checkpoint_text(*ledger));
  if (!again || *again != *ledger) std::abort();
  return 0;
}
