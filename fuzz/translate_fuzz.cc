// SPDX-License-Identifier: Apache-2.0
// translate: what comes out is YAML again, and translating it once more changes nothing. Most bytes end as no YAML.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "translate/translate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  const translate::Cluster cluster{.quote_helper = size % 2 == 0};
  const auto once = translate::translate(base::as_text({data, size}), cluster);
  if (!once) {
    if (once.error().kind() != ErrorKind::kMalformed && once.error().kind() != ErrorKind::kUnsupported) std::abort();
    return 0;
  }
  // What is refused is written nowhere.
  if (std::any_of(once->findings.begin(), once->findings.end(),
                  [](const translate::Finding& finding) { return finding.kind == translate::Finding::Kind::kRefused; }))
    return 0;
  const auto again = translate::translate(once->text, cluster);
  if (!again || again->text != once->text) std::abort();
  return 0;
}
