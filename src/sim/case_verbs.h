// SPDX-License-Identifier: Apache-2.0
// The verbs of which cases are made: what several of them do to a platform, and a line each for the usual kinds of
// departure. For case.cc and case_td.cc.
#pragma once

#include <algorithm>
#include <nlohmann/json_fwd.hpp>

#include "base/bytes.h"
#include "sim/case.h"

namespace enclayer::sim {

std::vector<Case> td_cases();  // those of trust domains; part of cases()

namespace verbs {

using Json = nlohmann::ordered_json;  // the order of the keys is part of what is signed
using Status = TcbStatus;
using std::chrono::days;
using std::chrono::seconds;

inline constexpr std::uint8_t kNewSvn = kSvn + 1;
inline constexpr char kAdvisory[] = "INTEL-SA-00000",
                      kQeAdvisory[] = "INTEL-SA-00001";  // nobody's: Intel begins with 00086
inline constexpr char kDate[] = "issueDate";

// The platform's only TCB level has this status.
inline void platform_is(Order& order, const char* status) {
  order.collateral.tcb_levels[0].status = status;
  order.collateral.tcb_levels[0].advisory_ids = {kAdvisory};
}

// A level above the platform's own, which then has this status.
inline TcbLevel& newer_level(Order& order, const char* own_status) {
  TcbLevel newest = order.collateral.tcb_levels[0];
  platform_is(order, own_status);
  return *order.collateral.tcb_levels.insert(order.collateral.tcb_levels.begin(), newest);
}

inline void platform_is_behind(Order& order, const char* status) { newer_level(order, status).components[0] = kNewSvn; }

// The QE's level has this status; there is a newer one.
inline void qe_is(Order& order, const char* status) {
  Time date = order.collateral.issued;
  order.collateral.qe_levels = {{kNewSvn, "UpToDate", date, {}}, {kSvn, status, date, {kQeAdvisory}}};
}

inline void processor_ca(Order& order) {
  order.ca.pck_ca.common_name = "SIMULATED SGX PCK Processor CA";
  order.ca.pck.sgx->platform.reset();
  order.ca.pck.sgx->sgx_type = 0;
}

inline Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }

// Another simulation with certificates of the same names.
inline Result<Ca> namesake(const Order& order) { return make_ca(ca_order(order.at)); }

// A list of serial numbers that are nobody's.
inline std::vector<Serial> serials(std::size_t count) {
  std::vector<Serial> out(count);
  for (Serial& serial : out) serial = random_serial();
  return out;
}

// Changes one of the two documents and signs it, as the TCB signing key would.
Result<> edit(const Ca& ca, Collateral& collateral, std::string Collateral::*text,
              const std::function<void(Json&)>& change);

// One line each for the usual kinds of departure.
inline Departure ordered(std::function<void(Order&)> change) { return {std::move(change), nullptr, nullptr}; }
inline Departure issued(std::function<Result<>(Order&, const Ca&, Evidence&)> change) {
  return {nullptr, std::move(change), nullptr};
}
inline Departure signed_with(std::string Collateral::*text, std::function<void(Json&)> change) {
  return issued(
      [text, change](Order&, const Ca& ca, Evidence& made) { return edit(ca, made.collateral, text, change); });
}
inline Departure tcb_info_with(std::function<void(Json&)> change) {
  return signed_with(&Collateral::tcb_info, std::move(change));
}
inline Departure qe_identity_with(std::function<void(Json&)> change) {
  return signed_with(&Collateral::qe_identity, std::move(change));
}
inline Departure on_its_way(std::function<void(Bytes&)> change) {
  return {nullptr, nullptr, [change](Bytes& quote) -> Result<> {
            change(quote);
            return {};
          }};
}
inline Departure bit_changed(std::size_t offset) {
  return on_its_way([offset](Bytes& quote) { quote.at(offset) ^= 1; });
}
// Another PCK chain in the quote.
inline Departure chain_of(std::function<std::string(const Ca&)> chain) {
  return issued([chain](Order& order, const Ca& ca, Evidence&) -> Result<> {
    order.quote.certification_data = bytes_of(chain(ca));
    return {};
  });
}
inline Departure certified_by(CertificationData::Type type, std::size_t size) {
  return ordered([=](Order& order) {
    order.quote.certification_type = type;
    order.quote.certification_data = Bytes(size, 0x51);
  });
}

// Offsets in a quote of version 3 whose authentication data has 32 bytes (docs/formats/quote.md).
inline constexpr std::size_t kQuoteUserData = 28, kQuoteMrEnclave = 48 + 64, kQuoteReportData = 48 + 320,
                             kQuoteSignatureSize = 432, kQuoteSignature = 436, kQuoteAttestationKey = 500,
                             kQuoteQeReport = 564, kQuoteQeSignature = 948, kQuoteAuthSize = 1012,
                             kQuoteAuthData = 1014, kQuoteCertificationSize = 1048;

inline Case accepted(std::string name, std::string what, Status status, Reason reason, Departure departure,
                     std::vector<std::string> advisory_ids = {}) {
  return {std::move(name),         std::move(what),     reason, status, std::move(advisory_ids),
          Case::kEvaluationNumber, std::move(departure)};
}
inline Case good(std::string name, std::string what, Departure departure) {
  return accepted(std::move(name), std::move(what), Status::kUpToDate, Reason::kOk, std::move(departure));
}
inline Case refused(std::string name, std::string what, Reason reason, Departure departure) {
  return {std::move(name), std::move(what), reason, std::nullopt, {}, Case::kEvaluationNumber, std::move(departure)};
}

inline Case with_evaluation_number(std::uint32_t number, Case which) {
  which.tcb_evaluation_number = number;
  return which;
}

}  // namespace verbs
}  // namespace enclayer::sim
