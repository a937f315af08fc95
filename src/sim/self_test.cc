// SPDX-License-Identifier: Apache-2.0
#include "sim/self_test.h"

#include "enclayer/verify.h"
#include "sim/enclave.h"

namespace enclayer::sim {

quoting::SelfTest self_test(quoting::QuoteSource& source, const Collateral& collateral, std::string_view root_pem,
                            Time now) {
  quoting::SelfTest test;
  quoting::QuoteTarget target;
  std::uint32_t size = 0;
  Bytes quote;
  test.step("init",
            [&]() -> Result<std::string> {
              ENCLAYER_TRY(target, source.target());
              return quoting::key_is_prepared(target);
            }) &&
      test.step("size",
                [&]() -> Result<std::string> {
                  ENCLAYER_TRY(size, source.quote_size());
                  return "a quote has " + std::to_string(size) + " bytes";
                }) &&
      test.step("quote",
                [&]() -> Result<std::string> {
                  quoting::QeReportRequest request;
                  request.nonce.fill(0x5A);
                  request.target = enclave_target();
                  auto report = ereport(enclave_body({}), target.qe);
                  ENCLAYER_TRY(quoting::QuoteReply reply, source.quote(report, request));
                  ENCLAYER_CHECK(check_qe_report(reply, request.nonce, target.qe));
                  if (reply.quote.size() != size)
                    return Error(ErrorKind::kInternal, "the quote has " + std::to_string(reply.quote.size()) +
                                                           " bytes where " + std::to_string(size) + " were announced");
                  quote = std::move(reply.quote);
                  return "a SIMULATED enclave's report was quoted, and the QE's own report is right";
                }) &&
      test.step("verify", [&]() -> Result<std::string> {
        ENCLAYER_TRY(TrustedRoot root, TrustedRoot::from_pem(root_pem));
        Verification found = verify(quote, collateral, root, now);
        quoting::learn_from_quote(test.facts, quote);
        quoting::learn_from_verification(test.facts, found);
        if (!found.verified()) return Error(ErrorKind::kInternal, "the quote does not verify: " + found.detail);
        return "the quote verifies against the SIMULATION's own root, TCB status " +
               std::string(to_string(*found.tcb_status));
      });
  return test;
}

}  // namespace enclayer::sim
