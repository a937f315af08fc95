// SPDX-License-Identifier: Apache-2.0
#include "quoting/pck_validity.h"

#include "attestation/certificate.h"
#include "base/bytes.h"
#include "base/metric_names.h"
#include "enclayer/quote.h"

namespace enclayer::quoting {

void show_pck_validity(ByteView pem_chain, base::Metrics& metrics) {
  auto chain = attestation::certificates_from_pem(base::as_text(pem_chain));
  if (!chain || chain->empty()) return;
  const attestation::Window& validity = chain->front().validity;
  auto seconds = [](Time time) { return static_cast<double>(time.time_since_epoch().count()); };
  metrics.gauge(base::metric::kPckNotBefore).set(seconds(validity.from));
  metrics.gauge(base::metric::kPckNotAfter).set(seconds(validity.until));
}

void show_pck_validity_of_quote(ByteView quote, base::Metrics& metrics) {
  auto parsed = parse_quote(quote);
  if (parsed && parsed->certification.type == CertificationData::kPckChain)
    show_pck_validity(parsed->certification.data, metrics);
}

}  // namespace enclayer::quoting
