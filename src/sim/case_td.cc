// SPDX-License-Identifier: Apache-2.0
// The cases of TDX: what a verifier has to check of a trust domain beyond what it checks of an enclave.
#include <nlohmann/json.hpp>
#include <utility>

#include "sim/case_verbs.h"

namespace enclayer::sim {
namespace {

using namespace verbs;

constexpr char kModuleAdvisory[] = "INTEL-SA-00002";

// Offsets in a quote of version 4 of a TD whose authentication data has 32 bytes (docs/formats/quote.md).
constexpr std::size_t kMrTd = 48 + 136, kRtmr3 = 48 + 328 + 3 * 48, kReportData = 48 + 520, kSignatureDataSize = 632,
                      kSignature = 636, kOuterType = 764, kOuterSize = 766, kQeReport = 770, kQeSignature = 1154;
// Of version 5: the body's descriptor.
constexpr std::size_t kBodyType = 48, kBodySize = 50;

// `departure` from the good platform with a TD. `order` is called before anything is made, as that of `ordered`.
Departure td(std::function<void(Order&)> change = nullptr, Departure departure = {}) {
  departure.order = [change = std::move(change)](Order& order) {
    order = good_td_order(order.at);
    if (change) change(order);
  };
  return departure;
}

TdReportBody& body(Order& order) { return *order.quote.td; }
void as_version_5(Order& order) { order.quote.version = 5; }

// A TD of TDX 1.5, launched and running on the same module.
TdReportTdx15& as_tdx15(Order& order) {
  as_version_5(order);
  auto& more = body(order).tdx15.emplace();
  more.tee_tcb_svn2 = body(order).tee_tcb_svn;
  return more;
}

TdReportPartitioned& as_partitioned(Order& order) {
  as_tdx15(order);
  return body(order).partitioned.emplace();
}

void module_version(Order& order, std::uint8_t major, std::uint8_t minor) {
  body(order).tee_tcb_svn[0] = minor;
  body(order).tee_tcb_svn[1] = major;
}

// The identity that TCB Info has of the TD's module.
TdxModuleOrder& identity(Order& order) { return (*order.collateral.tdx->identities)[1]; }

// The level of the TD's module has this status; there is a newer one.
void module_is(Order& order, const char* status) {
  Time date = order.collateral.issued;
  identity(order).levels = {{kModuleMinor + 1, "UpToDate", date, {}}, {kModuleMinor, status, date, {kModuleAdvisory}}};
}

std::vector<Case> shapes() {
  return {
      good("td", "the good TD: version 4, TDX module 1.5, everything up to date", td()),
      good("td-version-5", "a TD of TDX 1.0 in version 5, body type 2", td(as_version_5)),
      good("td-tdx15", "a TD of TDX 1.5: version 5, body type 3", td([](Order& o) { as_tdx15(o); })),
      good("td-partitioned", "a TD of TDX 1.5 with partitioning: version 5, body type 4",
           td([](Order& o) { as_partitioned(o); })),
      good("td-module-major-0", "its TDX module has major version 0, which TCB Info's tdxModule speaks of",
           td([](Order& o) { module_version(o, 0, kModuleMinor); })),
      good("td-module-major-3", "its TDX module has version 3.3", td([](Order& o) { module_version(o, 3, 3); })),
      good("td-module-newer", "its TDX module is newer than every level of its identity",
           td([](Order& o) { module_version(o, kModuleMajor, 0xff); })),
      good("td-module-id-in-lower-case", "TCB Info writes tdx_01", td([](Order& o) { identity(o).id = "tdx_01"; })),
      good("td-module-below-the-levels-number",
           "its TDX module is 1.4, which is UpToDate; TCB Info's level says 5 for it, which counts for major version 0 "
           "only",
           td([](Order& o) {
             module_version(o, kModuleMajor, 4);
             identity(o).levels[0].isv_svn = 4;
           })),
      good("td-kl-pks-perfmon", "the TD has the attributes PKS, KL and PERFMON", td([](Order& o) {
             body(o).td_attributes |= TdReportBody::kPks | TdReportBody::kKl | TdReportBody::kPerfmon;
           })),

      refused("td-version-3", "version 3 with the TEE type of TDX", Reason::kUnsupportedQuoteFormat,
              td([](Order& o) { o.quote.version = 3; })),
      refused("td-key-type-p384", "the quote of a TD says that its key is on P-384", Reason::kUnsupportedQuoteFormat,
              td([](Order& o) { o.quote.att_key_type = 3; })),
      refused("td-other-vendor", "the quote of a TD says that its QE is not Intel's", Reason::kUnsupportedQuoteFormat,
              td([](Order& o) { o.quote.vendor_id.fill(0x51); })),
      refused("td-body-type-unknown", "the body type is 5", Reason::kUnsupportedQuoteFormat,
              td(as_version_5, on_its_way([](Bytes& quote) { base::store_le16(quote.data() + kBodyType, 5); }))),
      refused("td-body-type-of-an-enclave", "the body type is 1, the TEE type that of TDX",
              Reason::kUnsupportedQuoteFormat,
              td(as_version_5, on_its_way([](Bytes& quote) { base::store_le16(quote.data() + kBodyType, 1); }))),
      refused("td-body-type-of-another-size", "the body type is 3, the size that of type 2",
              Reason::kUnsupportedQuoteFormat,
              td(as_version_5, on_its_way([](Bytes& quote) { base::store_le16(quote.data() + kBodyType, 3); }))),
      refused(
          "td-body-size-overflow", "the size of the body is 4,294,967,295", Reason::kUnsupportedQuoteFormat,
          td(as_version_5, on_its_way([](Bytes& quote) { base::store_le32(quote.data() + kBodySize, 0xffffffff); }))),
      refused("td-signature-size-overflow", "the size of the signature data of a TD's quote is 4,294,967,295",
              Reason::kUnsupportedQuoteFormat, td({}, on_its_way([](Bytes& quote) {
                                                    base::store_le32(quote.data() + kSignatureDataSize, 0xffffffff);
                                                  }))),
      refused("td-without-type-6", "the certification data of a TD's quote is of type 5, where 6 wraps it",
              Reason::kUnsupportedQuoteFormat,
              td({}, on_its_way([](Bytes& quote) { base::store_le16(quote.data() + kOuterType, 5); }))),
      refused("td-type-6-size-wrong", "the size of the certification data of type 6 is one too small",
              Reason::kUnsupportedQuoteFormat, td({}, on_its_way([](Bytes& quote) {
                                                    base::store_le32(quote.data() + kOuterSize,
                                                                     base::load_le32(quote.data() + kOuterSize) - 1);
                                                  }))),
      refused("td-truncated", "the last byte of a TD's quote is missing", Reason::kUnsupportedQuoteFormat,
              td({}, on_its_way([](Bytes& quote) { quote.pop_back(); }))),

      refused("td-tampered-mrtd", "one bit of MRTD was changed", Reason::kInvalidQuoteSignature,
              td({}, bit_changed(kMrTd))),
      refused("td-tampered-rtmr", "one bit of RTMR3 was changed", Reason::kInvalidQuoteSignature,
              td({}, bit_changed(kRtmr3))),
      refused("td-tampered-report-data", "one bit of the TD's report data was changed", Reason::kInvalidQuoteSignature,
              td({}, bit_changed(kReportData))),
      refused("td-tampered-signature", "one bit of the signature of a TD's quote was changed",
              Reason::kInvalidQuoteSignature, td({}, bit_changed(kSignature))),
      refused("td-tampered-qe-report", "one bit of the report of the QE for TDs was changed",
              Reason::kInvalidQeReportSignature, td({}, bit_changed(kQeReport))),
      refused("td-tampered-qe-signature", "one bit of the signature of that report was changed",
              Reason::kInvalidQeReportSignature, td({}, bit_changed(kQeSignature))),
      refused("td-qe-report-data-longer", "the last of the 32 zero bytes of that report's data is 1",
              Reason::kInvalidQeReportData, td([](Order& o) { o.quote.qe_report_data_end = 1; })),
  };
}

// A verified TD that a policy has to allow by name.
Case weak(std::string name, std::string what, Reason reason, std::function<void(Order&)> change) {
  return accepted(std::move(name), std::move(what), Status::kUpToDate, reason, td(std::move(change)));
}

std::vector<Case> attributes() {
  return {
      weak("td-debug", "the TD has the DEBUG attribute", Reason::kDebugTd,
           [](Order& o) { body(o).td_attributes |= TdReportBody::kDebug; }),
      weak("td-reserved-attribute", "bit 1 of the TD's attributes is set, which is reserved",
           Reason::kTdAttributesNotAccepted, [](Order& o) { body(o).td_attributes |= 2; }),
      weak("td-reserved-attribute-high", "bit 62 of the TD's attributes is set, which is reserved",
           Reason::kTdAttributesNotAccepted, [](Order& o) { body(o).td_attributes |= 1ULL << 62; }),
      weak("td-migratable", "the TD has the attribute MIGRATABLE", Reason::kTdAttributesNotAccepted,
           [](Order& o) { body(o).td_attributes |= TdReportBody::kMigratable; }),
      weak("td-sept-ve", "the TD lacks the attribute SEPT_VE_DISABLE", Reason::kTdAttributesNotAccepted,
           [](Order& o) { body(o).td_attributes = 0; }),
      weak("td-service-td", "a service TD is bound to the TD", Reason::kServiceTdNotAccepted,
           [](Order& o) { as_tdx15(o).mr_service_td.back() = 1; }),
      weak("td-service-td-at-launch", "a service TD was bound when the TD was launched, by what partitioning adds",
           Reason::kServiceTdNotAccepted, [](Order& o) { as_partitioned(o).init_service_td_hash.back() = 1; }),
      weak("td-service-td-now", "a service TD is bound now, by what partitioning adds", Reason::kServiceTdNotAccepted,
           [](Order& o) { as_partitioned(o).current_service_td_hash.back() = 1; }),
  };
}

std::vector<Case> collateral() {
  auto mismatch = [](std::string name, std::string what, Reason reason, std::function<void(Order&)> change) {
    return refused(std::move(name), std::move(what), reason, td(std::move(change)));
  };
  return {
      mismatch("td-pck-revoked", "the PCK CRL has the PCK certificate of the TD's platform", Reason::kSgxPckRevoked,
               [](Order& o) { o.collateral.pck_crl.revoked = {o.ca.pck.serial}; }),
      mismatch("td-other-fmspc", "TCB Info for TDX is for another FMSPC", Reason::kTcbInfoMismatch,
               [](Order& o) { o.collateral.fmspc = "00606a000000"; }),
      mismatch("td-other-pceid", "TCB Info for TDX is for another PCEID", Reason::kTcbInfoMismatch,
               [](Order& o) { o.collateral.pce_id = "0001"; }),
      mismatch("td-with-sgx-qe", "the report in the TD's quote is of the QE for enclaves", Reason::kQeIdentityMismatch,
               [](Order& o) { o.quote.qe = qe_body(); }),
      refused("td-qe-identity-of-the-sgx-qe", "QE Identity is that for enclaves, TCB Info that for TDX",
              Reason::kQeIdentityMismatch, td({}, issued([](Order& o, const Ca& ca, Evidence& made) -> Result<> {
                                                CollateralOrder order = o.collateral;
                                                order.tdx.reset();
                                                order.qe = qe_body();
                                                ENCLAYER_TRY(Collateral sgx, issue_collateral(ca, order));
                                                made.collateral.qe_identity = sgx.qe_identity;
                                                made.collateral.qe_identity_signature = sgx.qe_identity_signature;
                                                return {};
                                              }))),
      refused("td-qe-identity-id", "QE Identity has the id QE and fits otherwise", Reason::kQeIdentityMismatch,
              td({}, qe_identity_with([](Json& json) { json["id"] = "QE"; }))),
      mismatch("td-qe-other-mrsigner", "the QE for TDs is of another signer", Reason::kQeIdentityMismatch,
               [](Order& o) { o.quote.qe.mr_signer[0] ^= 1; }),
      mismatch("td-qe-debug", "the QE for TDs has the DEBUG attribute", Reason::kQeIdentityMismatch,
               [](Order& o) { o.quote.qe.attributes.flags |= Attributes::kDebug; }),
      mismatch("td-qe-isvsvn-too-low", "the QE for TDs is below every level of QE Identity",
               Reason::kSgxEnclaveReportIsvsvnNotSupported, [](Order& o) { o.quote.qe.isv_svn = kSvn - 1; }),
      refused("td-tcb-info-v2", "TCB Info has version 2, which knows no TDX", Reason::kSgxTcbInfoInvalid,
              td({}, tcb_info_with([](Json& json) { json["version"] = 2; }))),
      refused("td-tcb-info-without-tdx-components", "a TCB level has no tdxtcbcomponents", Reason::kSgxTcbInfoInvalid,
              td({}, tcb_info_with([](Json& json) { json["tcbLevels"][0]["tcb"].erase("tdxtcbcomponents"); }))),
      refused("td-tcb-info-with-15-tdx-components", "a TCB level has 15 tdxtcbcomponents", Reason::kSgxTcbInfoInvalid,
              td({}, tcb_info_with([](Json& json) { json["tcbLevels"][0]["tcb"]["tdxtcbcomponents"].erase(0); }))),
      refused("td-tcb-info-without-tdx-module", "TCB Info has no tdxModule", Reason::kSgxTcbInfoInvalid,
              td({}, tcb_info_with([](Json& json) { json.erase("tdxModule"); }))),

      mismatch("td-module-unknown", "TCB Info has no identity of the TDX module's major version, 2",
               Reason::kTdxModuleMismatch, [](Order& o) { module_version(o, 2, kModuleMinor); }),
      mismatch("td-module-identities-missing", "TCB Info has no tdxModuleIdentities", Reason::kTcbInfoMismatch,
               [](Order& o) { o.collateral.tdx->identities.reset(); }),
      mismatch("td-module-other-signer", "the TDX module is of another signer", Reason::kTdxModuleMismatch,
               [](Order& o) { body(o).mr_signer_seam.back() = 1; }),
      mismatch("td-module-signer-of-major-0", "the TDX module is of the signer that major version 0 has, not 1",
               Reason::kTdxModuleMismatch,
               [](Order& o) {
                 o.collateral.tdx->module.mr_signer.back() = 1;
                 body(o).mr_signer_seam.back() = 1;
               }),
      mismatch("td-module-major-0-other-signer", "the TDX module of major version 0 is of another signer",
               Reason::kTdxModuleMismatch,
               [](Order& o) {
                 module_version(o, 0, kModuleMinor);
                 body(o).mr_signer_seam.back() = 1;
               }),
      mismatch("td-module-debug", "the TDX module has the attribute in bit 63, a debug module",
               Reason::kTdxModuleMismatch, [](Order& o) { body(o).seam_attributes = 1ULL << 63; }),
      mismatch("td-module-attribute-outside-the-mask",
               "the TDX module has an attribute that TCB Info's mask leaves out", Reason::kTdxModuleMismatch,
               [](Order& o) {
                 identity(o).attributes_mask = ~std::uint64_t{1};
                 body(o).seam_attributes = 1;
               }),
      mismatch("td-module-attribute-wanted", "TCB Info wants an attribute of the TDX module, which has it",
               Reason::kTdxModuleMismatch, [](Order& o) { identity(o).attributes = body(o).seam_attributes = 1; }),
      mismatch("td-module-identity-twice", "TCB Info has two identities of TDX_01", Reason::kSgxTcbInfoInvalid,
               [](Order& o) { o.collateral.tdx->identities->push_back(TdxModuleOrder(identity(o))); }),
      mismatch("td-module-levels-twice", "two levels of the TDX module have the same number: UpToDate, then Revoked",
               Reason::kSgxTcbInfoInvalid,
               [](Order& o) {
                 QeLevel twin = identity(o).levels[0];
                 twin.status = "Revoked";
                 identity(o).levels.push_back(twin);
               }),
      mismatch("td-module-without-levels", "the TDX module's identity has no level", Reason::kSgxTcbInfoInvalid,
               [](Order& o) { identity(o).levels.clear(); }),
  };
}

std::vector<Case> levels() {
  auto at = [](std::string name, std::string what, Status status, Reason reason, std::vector<std::string> advisories,
               std::function<void(Order&)> change) {
    return accepted(std::move(name), std::move(what), status, reason, td(std::move(change)), std::move(advisories));
  };
  auto none = [](std::string name, std::string what, Reason reason, std::function<void(Order&)> change) {
    return refused(std::move(name), std::move(what), reason, td(std::move(change)));
  };
  return {
      at("td-out-of-date-by-a-component", "the TD's platform is behind the newest level in its first SGX component",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory}, [](Order& o) { platform_is_behind(o, "OutOfDate"); }),
      at("td-out-of-date-by-pcesvn", "the TD's platform is behind the newest level in its PCESVN", Status::kOutOfDate,
         Reason::kTcbOutOfDate, {kAdvisory}, [](Order& o) { newer_level(o, "OutOfDate").pce_svn = kNewSvn; }),
      at("td-out-of-date-by-the-third-tdx-component",
         "it is behind the newest level in its third TDX component, the first that counts for module 1.5",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory},
         [](Order& o) { newer_level(o, "OutOfDate").tdx_components[2] = kNewSvn; }),
      at("td-out-of-date-by-the-last-tdx-component", "it is behind the newest level in its 16th TDX component",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory},
         [](Order& o) { newer_level(o, "OutOfDate").tdx_components[15] = 1; }),
      at("td-major-0-out-of-date-by-the-first-tdx-component",
         "its TDX module has major version 0; it is behind the newest level in its first TDX component",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory},
         [](Order& o) {
           module_version(o, 0, kModuleMinor);
           newer_level(o, "OutOfDate").tdx_components[0] = kModuleMinor + 1;
         }),
      at("td-major-0-out-of-date-by-the-second-tdx-component",
         "its TDX module has major version 0; it is behind the newest level in its second TDX component",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory},
         [](Order& o) {
           module_version(o, 0, kModuleMinor);
           newer_level(o, "OutOfDate").tdx_components[1] = 1;
         }),
      at("td-sw-hardening-needed", "the TD's platform is at a level that is SWHardeningNeeded",
         Status::kSwHardeningNeeded, Reason::kTcbSwHardeningNeeded, {kAdvisory},
         [](Order& o) { platform_is(o, "SWHardeningNeeded"); }),
      at("td-tcb-revoked", "the TD's platform is at a level that is Revoked", Status::kRevoked, Reason::kTcbRevoked,
         {kAdvisory}, [](Order& o) { platform_is_behind(o, "Revoked"); }),
      none("td-tcb-not-supported", "the TD's platform is below every level in its third TDX component",
           Reason::kTcbNotSupported, [](Order& o) { o.collateral.tcb_levels[0].tdx_components[2] = kNewSvn; }),
      none("td-tcb-status-unknown", "the TD's platform is at a level with a status that nobody knows",
           Reason::kTcbUnrecognizedStatus, [](Order& o) { platform_is(o, "Splendid"); }),
      none("td-tcb-status-relaunch", "the TD's platform is at a level that is TDRelaunchAdvised, which no level can be",
           Reason::kTcbUnrecognizedStatus, [](Order& o) { platform_is(o, "TDRelaunchAdvised"); }),

      at("td-module-out-of-date", "the TDX module's level is OutOfDate, the platform's UpToDate", Status::kOutOfDate,
         Reason::kTcbOutOfDate, {kModuleAdvisory}, [](Order& o) { module_is(o, "OutOfDate"); }),
      at("td-module-out-of-date-hardening", "the TDX module's level is OutOfDate, the platform's SWHardeningNeeded",
         Status::kOutOfDate, Reason::kTcbOutOfDate, {kAdvisory, kModuleAdvisory},
         [](Order& o) {
           platform_is(o, "SWHardeningNeeded");
           module_is(o, "OutOfDate");
         }),
      at("td-module-out-of-date-configuration",
         "the TDX module's level is OutOfDate, the platform's ConfigurationAndSWHardeningNeeded",
         Status::kOutOfDateConfigurationNeeded, Reason::kTcbOutOfDateConfigurationNeeded, {kAdvisory, kModuleAdvisory},
         [](Order& o) {
           platform_is(o, "ConfigurationAndSWHardeningNeeded");
           module_is(o, "OutOfDate");
         }),
      at("td-module-revoked", "the TDX module's level is Revoked, the platform's UpToDate", Status::kRevoked,
         Reason::kTcbRevoked, {kModuleAdvisory}, [](Order& o) { module_is(o, "Revoked"); }),
      none("td-module-below-every-level", "the TDX module is below every level of its identity",
           Reason::kTcbNotSupported, [](Order& o) { identity(o).levels[0].isv_svn = kModuleMinor + 1; }),
      none("td-module-status-unknown", "the TDX module's level has a status that nobody knows",
           Reason::kTcbUnrecognizedStatus, [](Order& o) { module_is(o, "Splendid"); }),
      none("td-module-status-of-a-platform", "the TDX module's level is SWHardeningNeeded, which is for platforms",
           Reason::kTcbUnrecognizedStatus, [](Order& o) { module_is(o, "SWHardeningNeeded"); }),
      at("td-qe-out-of-date", "the level of the QE for TDs is OutOfDate", Status::kOutOfDate, Reason::kTcbOutOfDate,
         {kQeAdvisory}, [](Order& o) { qe_is(o, "OutOfDate"); }),
      at("td-qe-revoked", "the level of the QE for TDs is Revoked", Status::kRevoked, Reason::kTcbRevoked,
         {kQeAdvisory}, [](Order& o) { qe_is(o, "Revoked"); }),
      at("td-module-and-qe-out-of-date", "TDX module and QE are OutOfDate, the platform UpToDate", Status::kOutOfDate,
         Reason::kTcbOutOfDate, {kModuleAdvisory, kQeAdvisory},
         [](Order& o) {
           module_is(o, "OutOfDate");
           qe_is(o, "OutOfDate");
         }),
  };
}

// TDX 1.5: a TD that was launched at one level and runs at another.
std::vector<Case> relaunches() {
  // The level of now, which the level of the launch is below in its third TDX component.
  auto launched_at = [](const std::string& launch, const std::string& now) {
    return td([launch, now](Order& o) {
      as_tdx15(o).tee_tcb_svn2[2] = kNewSvn;
      TcbLevel& newest = newer_level(o, launch.c_str());
      newest.tdx_components[2] = kNewSvn;
      newest.status = now;
      newest.advisory_ids = {kModuleAdvisory};
    });
  };
  constexpr const char* kNow[] = {"UpToDate",
                                  "SWHardeningNeeded",
                                  "ConfigurationNeeded",
                                  "ConfigurationAndSWHardeningNeeded",
                                  "OutOfDate",
                                  "OutOfDateConfigurationNeeded",
                                  "Revoked"};
  constexpr Status kOld = Status::kOutOfDate, kOldConfiguration = Status::kOutOfDateConfigurationNeeded,
                   kAgain = Status::kTdRelaunchAdvised,
                   kAgainConfiguration = Status::kTdRelaunchAdvisedConfigurationNeeded, kGone = Status::kRevoked;
  constexpr struct {
    const char *name, *launch;
    Status status[7];  // as kNow
  } kRows[] = {
      {"up-to-date",
       "UpToDate",
       {Status::kUpToDate, Status::kUpToDate, Status::kUpToDate, Status::kUpToDate, kOld, kOld, kGone}},
      {"out-of-date", "OutOfDate", {kAgain, kAgain, kAgainConfiguration, kAgainConfiguration, kOld, kOld, kGone}},
      {"out-of-date-configuration",
       "OutOfDateConfigurationNeeded",
       {kAgainConfiguration, kAgainConfiguration, kAgainConfiguration, kAgainConfiguration, kOldConfiguration,
        kOldConfiguration, kGone}},
      {"revoked", "Revoked", {kGone, kGone, kGone, kGone, kGone, kGone, kGone}},
  };
  constexpr const char* kNowNames[] = {"up-to-date",    "hardening",
                                       "configuration", "configuration-and-hardening",
                                       "out-of-date",   "out-of-date-configuration",
                                       "revoked"};
  std::vector<Case> out;
  for (const auto& row : kRows)
    for (std::size_t i = 0; i < std::size(kNow); ++i)
      out.push_back(accepted(
          "td-launched-" + std::string(row.name) + "-now-" + kNowNames[i],
          std::string("the TD was launched at a level that is ") + row.launch + " and runs at one that is " + kNow[i],
          row.status[i], attestation::reason_of(row.status[i]), launched_at(row.launch, kNow[i]),
          {kAdvisory, kModuleAdvisory}));
  out.push_back(accepted("td-launched-on-an-old-module",
                         "the TD was launched on a module that is OutOfDate, and runs on a newer one", kAgain,
                         Reason::kTcbTdRelaunchAdvised, td([](Order& o) {
                           as_tdx15(o).tee_tcb_svn2[0] = kModuleMinor + 1;
                           module_is(o, "OutOfDate");
                         }),
                         {kModuleAdvisory}));
  out.push_back(accepted("td-launched-on-an-old-module-with-an-old-qe",
                         "the same with a QE that is OutOfDate, which launching again does not help", kOld,
                         Reason::kTcbOutOfDate, td([](Order& o) {
                           as_tdx15(o).tee_tcb_svn2[0] = kModuleMinor + 1;
                           module_is(o, "OutOfDate");
                           qe_is(o, "OutOfDate");
                         }),
                         {kModuleAdvisory, kQeAdvisory}));
  out.push_back(refused("td-runs-on-an-unknown-module",
                        "TCB Info has no identity of the module that the TD runs on now", Reason::kTcbNotSupported,
                        td([](Order& o) { as_tdx15(o).tee_tcb_svn2[1] = 2; })));
  out.push_back(
      accepted("td-partitioned-launched-out-of-date",
               "a TD with partitioning was launched at a level that is OutOfDate and runs at one that is UpToDate",
               kAgain, Reason::kTcbTdRelaunchAdvised, td([](Order& o) {
                 as_partitioned(o);
                 body(o).tdx15->tee_tcb_svn2[2] = kNewSvn;
                 newer_level(o, "OutOfDate").tdx_components[2] = kNewSvn;
               }),
               {kAdvisory}));
  return out;
}

}  // namespace

std::vector<Case> td_cases() {
  std::vector<Case> out;
  for (auto subject : {shapes, attributes, collateral, levels, relaunches})
    for (Case& which : subject()) out.push_back(std::move(which));
  return out;
}

}  // namespace enclayer::sim
