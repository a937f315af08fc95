// SPDX-License-Identifier: Apache-2.0
// A PodList as the API server has it: what is needed of it are names that may become paths, and templates of these are
// objects.
#include <cstdlib>
#include <set>
#include <string_view>

#include "base/dns_name.h"
#include "base/json.h"
#include "dra/claim_templates.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::set<dra::TemplateName> needed;
  if (!dra::read_needed({reinterpret_cast<const char*>(data), size}, needed)) return 0;
  for (const dra::TemplateName& one : needed) {
    if (!base::is_dns_name(one.name_space) || !base::is_dns_name(one.name) || !dra::template_mib(one.name))
      std::abort();
    if (!base::JsonDocument::parse(dra::template_object(one))) std::abort();
  }
  return 0;
}
