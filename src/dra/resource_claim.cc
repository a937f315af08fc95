// SPDX-License-Identifier: Apache-2.0
#include "dra/resource_claim.h"

#include <algorithm>
#include <map>

#include "base/dns_name.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "base/quantity.h"
#include "sgx/epc.h"

namespace enclayer::dra {
namespace {

using base::JsonValue;

// Other drivers' parameters stand in there too, and managedFields names every field again.
constexpr base::JsonLimits kClaimLimits{.size = kMostClaimBytes, .depth = 64, .values = 1 << 17};

std::string in_quotes(std::string_view text) { return "'" + base::printable(text, 253) + "'"; }

Error refused(ErrorKind kind, const Share& share, const std::string& why) {
  return {kind, "request " + in_quotes(share.request) + ", device " + in_quotes(share.device) + ": " + why};
}

// The class by which each request asks, by "request" or "request/subrequest".
std::map<std::string, std::string> classes_of(const JsonValue& claim) {
  std::map<std::string, std::string> classes;
  for (const auto& [none, request] : claim["spec"]["devices"]["requests"].entries()) {
    const std::string name = request["name"].text();
    classes[name] = request["exactly"]["deviceClassName"].text();
    for (const auto& [nothing, sub] : request["firstAvailable"].entries())
      classes[name + "/" + sub["name"].text()] = sub["deviceClassName"].text();
  }
  return classes;
}

// Whether these parameters ask for quotes. Nothing of them is passed over: what is misspelt would be missed.
Result<bool> quotes_of(const JsonValue& parameters) {
  constexpr base::Malformed wrong{"parameters for sgx.enclayer.io "};
  const std::string version = parameters["apiVersion"].text(), kind = parameters["kind"].text();
  if (version != kParametersVersion || kind != kParametersKind)
    return wrong("are " + in_quotes(kind) + " of " + in_quotes(version) + "; this driver knows " + kParametersKind +
                 " of " + kParametersVersion);
  bool quotes = false;
  for (const auto& [key, value] : parameters.entries()) {
    if (key == "apiVersion" || key == "kind") continue;
    if (key != "quotes") return wrong("have " + in_quotes(key) + ", which is no field of " + kParametersKind);
    if (value.text() != "Socket" && value.text() != "None")
      return wrong("have quotes that are neither \"Socket\" nor \"None\"");
    quotes = value.text() == "Socket";
  }
  return quotes;
}

// What each of the configurations says of quotes, in their order.
struct Configured {
  std::vector<std::string> requests;  // none: all
  bool quotes = false;

  bool is_for(const std::string& request, const std::string& main) const {
    return requests.empty() || std::any_of(requests.begin(), requests.end(),
                                           [&](const auto& each) { return each == request || each == main; });
  }
};

Result<std::vector<Configured>> configurations_of(const JsonValue& allocated) {
  std::vector<Configured> all;
  for (const auto& [none, config] : allocated["config"].entries()) {
    if (config["opaque"]["driver"].text() != kDriver) continue;
    Configured one;
    ENCLAYER_TRY(one.quotes, quotes_of(config["opaque"]["parameters"]));
    for (const auto& [nothing, request] : config["requests"].entries()) one.requests.push_back(request.text());
    all.push_back(std::move(one));
  }
  return all;
}

Result<std::uint64_t> mib_of(const JsonValue& result, const Share& share, const Section& section) {
  const std::string text = result["consumedCapacity"][kCapacity].text();
  const auto bytes = base::whole_quantity(text);
  if (!bytes || *bytes <= 0 || static_cast<std::uint64_t>(*bytes) % sgx::kMiB != 0)
    return refused(ErrorKind::kInvalidArgument, share,
                   "it consumes " + in_quotes(text) + " of epc, which is no whole number of MiB above 0");
  const std::uint64_t mib = static_cast<std::uint64_t>(*bytes) / sgx::kMiB;
  if (mib > section.mib)
    return refused(ErrorKind::kExhausted, share,
                   "it consumes " + std::to_string(mib) + " MiB of EPC, and the device has " +
                       std::to_string(section.mib) + " MiB");
  return mib;
}

Result<Share> share_of(const JsonValue& result, const std::map<std::string, std::string>& classes,
                       const std::vector<Configured>& configured, const NodeDevices& devices) {
  const std::string request = result["request"].text();
  Share share{request.substr(0, request.find('/')), result["device"].text(), result["shareID"].text()};
  auto no = [&](ErrorKind kind, const std::string& why) { return refused(kind, share, why); };
  if (!base::is_dns_name(share.request, 63)) return no(ErrorKind::kMalformed, "the request has no name of Kubernetes");
  if (result["pool"].text() != devices.node)
    return no(ErrorKind::kInvalidArgument,
              "its pool is " + in_quotes(result["pool"].text()) + ", and this node's is '" + devices.node + "'");
  if (result["adminAccess"].truth())
    return no(ErrorKind::kPermissionDenied, "administrative access is given to no device of SGX");
  const Section* section = devices.section(share.device);
  const bool provision = devices.provision && share.device == kProvisionDevice;
  if (!section && !provision) return no(ErrorKind::kInvalidArgument, "this node does not offer it (any more)");
  const auto by = classes.find(request);
  const std::string by_class = by == classes.end() ? "" : by->second;
  if ((by_class == kProvisionClass) != provision)
    return no(ErrorKind::kPermissionDenied, "it was asked for by class " + in_quotes(by_class) +
                                                "; the provisioning device has class " + kProvisionClass +
                                                " of its own, and nothing else has that class");
  // Every device here is for many claims, and each of their shares has an ID.
  if (!is_uuid(share.share_id))
    return no(ErrorKind::kMalformed, "its shareID is " + in_quotes(share.share_id) + ", which is no UUID");
  if (!section) return share;
  ENCLAYER_TRY(share.mib, mib_of(result, share, *section));
  for (const Configured& each : configured)
    if (each.is_for(request, share.request)) share.quotes = each.quotes;
  return share;
}

Result<Allocation> read(std::string_view json, const ClaimName& name, const NodeDevices& devices) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(json, kClaimLimits));
  const JsonValue claim = document.root();
  if (claim["kind"].text() != "ResourceClaim") return base::malformed("what the API server answered is none");
  if (const std::string uid = claim["metadata"]["uid"].text(); uid != name.uid)
    return Error(ErrorKind::kConflict, "it has UID " + in_quotes(uid) + " now, and the pod's has " + name.uid +
                                           ": it was deleted and made again; make the pod again too");
  const JsonValue allocated = claim["status"]["allocation"]["devices"];
  const auto results = allocated["results"].entries();
  if (results.empty()) return Error(ErrorKind::kUnavailable, "nothing is allocated for it");
  if (results.size() > kMostResults)
    return base::malformed("it has " + std::to_string(results.size()) + " results, and at most " +
                           std::to_string(kMostResults) + " are read");
  const auto classes = classes_of(claim);
  ENCLAYER_TRY(const auto configured, configurations_of(allocated));
  Allocation out{name, {}, {}};
  const std::string* quotes_for = nullptr;
  for (const auto& [none, result] : results) {
    if (result["driver"].text() != kDriver) continue;
    ENCLAYER_TRY(Share share, share_of(result, classes, configured, devices));
    out.shares.push_back(std::move(share));
  }
  if (out.shares.empty()) return Error(ErrorKind::kInvalidArgument, std::string("no result is of ") + kDriver);
  for (const Share& share : out.shares) {
    if (!share.quotes) continue;
    if (quotes_for)
      return refused(ErrorKind::kInvalidArgument, share,
                     "quotes are asked for here and by request " + in_quotes(*quotes_for) +
                         ", and a container has one socket for them: name one request in the parameters' `requests`");
    quotes_for = &share.request;
  }
  for (const auto& [none, user] : claim["status"]["reservedFor"].entries())
    if (out.pod.empty() && user["resource"].text() == "pods" && base::is_dns_name(user["name"].text()))
      out.pod = user["name"].text();
  return out;
}

}  // namespace

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !hex) return false;
  }
  return true;
}

Result<> check_name(const ClaimName& claim) {
  if (base::is_dns_name(claim.name_space, 63) && base::is_dns_name(claim.name) && is_uuid(claim.uid)) return {};
  return Error(ErrorKind::kInvalidArgument, in_quotes(claim.name_space) + "/" + in_quotes(claim.name) + " with UID " +
                                                in_quotes(claim.uid) + " is no name of a claim");
}

Result<Allocation> allocation_of(std::string_view json, const ClaimName& claim, const NodeDevices& devices) {
  auto read_of = read(json, claim, devices);
  if (!read_of) return read_of.error().with_context("claim " + claim.name_space + "/" + claim.name);
  return read_of;
}

}  // namespace enclayer::dra
