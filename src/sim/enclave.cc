// SPDX-License-Identifier: Apache-2.0
#include "sim/enclave.h"

#include <algorithm>

#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"

namespace enclayer::sim {

using base::sha256;

ReportBody enclave_body(const ByteArray<64>& report_data) {
  ReportBody body;
  body.cpu_svn = cpu_svns()[0];
  body.attributes = {Attributes::kInit | Attributes::kMode64, 3};
  body.mr_enclave = sha256(base::as_bytes("enclayer: SIMULATED application enclave, it protects nothing"));
  body.mr_signer = sha256(base::as_bytes("enclayer: SIMULATED signer of applications, it vouches for nothing"));
  body.isv_prod_id = 1;
  body.isv_svn = 1;
  body.report_data = report_data;
  return body;
}

sgx::TargetInfo enclave_target() {
  ReportBody body = enclave_body({});
  sgx::TargetInfo target;
  target.mr_enclave = body.mr_enclave;
  target.attributes = body.attributes;
  return target;
}

Result<> check_qe_report(const quoting::QuoteReply& reply, const ByteArray<16>& nonce, const sgx::TargetInfo& qe) {
  auto refused = [](const std::string& why) { return Error(ErrorKind::kPermissionDenied, "the QE report " + why); };
  if (!reply.qe_report) return refused("is missing");
  if (!report_is_for(*reply.qe_report, enclave_target()))
    return refused("was not made for the simulated enclave that asked: its MAC is wrong");
  ReportBody body = reply.qe_report->body();
  if (body.mr_enclave != qe.mr_enclave)
    return refused("is of enclave " + base::to_hex(body.mr_enclave) + ", not of the QE " + base::to_hex(qe.mr_enclave));
  ByteArray<64> expected{};
  std::ranges::copy(sha256(nonce, reply.quote), expected.begin());
  if (body.report_data != expected) return refused("does not say SHA-256(nonce || quote)");
  return {};
}

}  // namespace enclayer::sim
