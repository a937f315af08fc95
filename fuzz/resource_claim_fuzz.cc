// SPDX-License-Identifier: Apache-2.0
// A ResourceClaim as the API server has it: what is accepted fits its section, has names that may become paths, and is
// held by an empty ledger.
#include <cstdlib>
#include <string_view>

#include "base/dns_name.h"
#include "dra/ledger.h"
#include "dra/resource_claim.h"

using namespace enclayer::dra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ClaimName claim{"bank", "c1", "00000001-0000-4000-8000-000000000000"};
  NodeDevices devices;
  devices.node = "n1";
  devices.sections = {{"epc-numa0", 0, 65'536}, {"epc-numa1", 1, 16}};
  devices.provision = true;
  auto allocation = allocation_of({reinterpret_cast<const char*>(data), size}, claim, devices);
  if (!allocation) return 0;
  if (allocation->shares.empty() || allocation->shares.size() > kMostResults) std::abort();
  std::uint64_t most = 0;
  int quotes = 0;
  for (const Share& share : allocation->shares) {
    const Section* section = devices.section(share.device);
    if (!enclayer::base::is_dns_name(share.request, 63) || !is_uuid(share.share_id)) std::abort();
    if (section ? share.mib == 0 || share.mib > section->mib : share.mib != 0 || share.device != kProvisionDevice)
      std::abort();
    quotes += share.quotes;
    most += share.mib;
  }
  if (quotes > 1) std::abort();
  Ledger ledger;
  if (ledger.hold(*allocation, devices)) {
    if (most != ledger.held_mib("epc-numa0") + ledger.held_mib("epc-numa1")) std::abort();
    for (const Section& section : devices.sections)
      if (ledger.held_mib(section.device) > section.mib) std::abort();
    auto again = parse_checkpoint(checkpoint_text(ledger));
    if (!again || *again != ledger) std::abort();
  }
  return 0;
}
