// SPDX-License-Identifier: Apache-2.0
#include "manifests/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "base/printable.h"
#include "base/quantity.h"
#include "base/version.h"
#include "manifests/entries.h"

namespace enclayer::manifests {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kMostSimEpc = 16 * kMib * kMib;
// What the device plugin can list of one node (docs/limits.md).
constexpr std::uint64_t kMostListedMib = 262'144;
// Of one claim: what eight digits of a template's name say (admission-translate.yaml).
constexpr std::size_t kMostClaimMib = 99'999'999;

std::string wrong_namespace(const std::string& name) {
  if (name != "default" && !name.starts_with("kube-")) return "";
  return " is Kubernetes' own. The add-on labels its namespace, and removes it when it is disabled: give it one of its "
         "own, as enclayer-system";
}

std::string wrong_sim_epc(const std::string& text) {
  auto bytes = base::parse_quantity(text);
  return bytes && *bytes >= kMib && *bytes <= kMostSimEpc ? "" : ": a simulated node has 1Mi to 16Ti";
}

std::string wrong_epc(const std::string& text) {
  auto bytes = base::parse_quantity(text);
  return text.empty() || (bytes && *bytes >= kMib) ? "" : ": EPC is counted in MiB, 1Mi at least";
}

std::string wrong_dra_epc(const std::string& text) { return text.ends_with('%') ? "" : wrong_epc(text); }

std::string wrong_file(const std::string& text) {
  if (text.empty()) return "";
  if (text.find('\0') != std::string::npos || text.find_first_not_of(" \t\r\n") == std::string::npos)
    return ": the file is no text: it is blank or has a byte 0 in it";
  // A ConfigMap's data, and our own JSON, are UTF-8.
  try {
    static_cast<void>(Json(text).dump());
  } catch (const Json::exception&) {
    return ": the file is no text in UTF-8";
  }
  return "";
}

// KEY, KEY:EFFECT, KEY=VALUE or KEY=VALUE:EFFECT, as `kubectl taint` writes a taint. ":EFFECT" is every taint of that
// effect, ":" every taint.
Texts toleration(const std::string& text) {
  const auto colon = text.rfind(':');
  const std::string taint = text.substr(0, colon);
  const auto equals = taint.find('=');
  Texts out = {{"operator", equals == taint.npos ? "Exists" : "Equal"}};
  if (!taint.empty()) out["key"] = taint.substr(0, equals);
  if (equals != taint.npos) out["value"] = taint.substr(equals + 1);
  if (colon != text.npos && colon + 1 < text.size()) out["effect"] = text.substr(colon + 1);
  return out;
}

Texts named(const std::string& text) { return {{"name", text}}; }

// Patterns are for std::regex and for JSON Schema validators alike: no look-around, no named classes.
constexpr std::string_view kImage =
    "^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*"
    "(:[a-zA-Z0-9_][a-zA-Z0-9._-]*(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$";
constexpr std::string_view kImageRemedy =
    " is no image reference: write REPOSITORY/NAME:TAG or REPOSITORY/NAME@sha256:DIGEST, the name in lower case, as in "
    "registry.example/enclayer:1.0";
constexpr std::string_view kAmount = "^[0-9]+(Ki|Mi|Gi|Ti)?$";
constexpr std::string_view kAmountRemedy = " is no amount of memory: write digits and Ki, Mi, Gi, Ti, as in 8Gi";

constexpr std::string_view kObjectName = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
constexpr std::string_view kSimulated = "simulated";  // in the issuer's name, of a simulated service alone

constexpr std::array kTable = {
    Setting{.name = "namespace",
            .flag = "--namespace",
            .member = &Settings::name_space,
            .shown = "NAME",
            .help = "The namespace that the add-on's objects live in",
            .pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            .least = 1,
            .most = 63,
            .remedy = " is no namespace: write 1 to 63 lower-case letters, digits and '-', as in enclayer-system",
            .wrong = wrong_namespace},
    Setting{.name = "image",
            .flag = "--image",
            .member = &Settings::image,
            .shown = "REPO/enclayer:TAG",
            .help = "The image of everything but the quote helper on hardware, with a tag or a digest",
            .pattern = kImage,
            .least = 1,
            .most = 512,
            .remedy = kImageRemedy},
    Setting{
        .name = "dcapImage",
        .flag = "--dcap-image",
        .member = &Settings::dcap_image,
        .shown = "REPO/NAME:TAG",
        .help = "The quote helper's image on hardware; empty: REPO/enclayer-dcap:TAG for an image REPO/enclayer:TAG",
        .pattern = kImage,
        .most = 512,
        .remedy = kImageRemedy},
    Setting{.name = "imagePullPolicy",
            .flag = "--image-pull-policy",
            .member = &Settings::image_pull_policy,
            .help = "When nodes pull the images",
            .words = "Always IfNotPresent Never"},
    Setting{.name = "platform",
            .flag = "--platform",
            .member = &Settings::platform,
            .help = "SGX hardware, or a simulation on the nodes that are labelled enclayer.io/sim=true: it protects "
                    "nothing",
            .words = "hardware sim"},
    Setting{.name = "quoteHelper",
            .flag = "--enable-sgxquotehelper",
            .member = &Settings::quote_helper,
            .help = "Out-of-process attestation: a quote helper on every SGX node"},
    Setting{.name = "standby",
            .flag = "--standby",
            .member = &Settings::standby,
            .help = "Beside each quote helper a second one waits, and takes its sockets within 200 ms when it crashes "
                    "or hangs; it asks for as much EPC again. On by default"},
    Setting{.name = "inProcAttestation",
            .flag = "--in-proc-attestation",
            .member = &Settings::in_proc_attestation,
            .help = "In-process attestation: pods may ask for sgx.intel.com/provision where their namespace is "
                    "labelled enclayer.io/allow-provisioning=true"},
    Setting{.name = "externalAesmd",
            .flag = "--external-aesmd",
            .member = &Settings::external_aesmd,
            .help = "Pods with enclayer.io/quote are given /var/run/aesmd, where somebody else's aesmd answers; not "
                    "with a quote helper"},
    Setting{.name = "provisionWithEpc",
            .flag = "--provision-with-epc",
            .member = &Settings::provision_with_epc,
            .help = "Compatibility with plugins of others: every container with EPC gets the provisioning device, "
                    "which shows a stable identifier of the platform"},
    Setting{.name = "provisionLimit",
            .flag = "--provision-limit",
            .member = &Settings::provision_limit,
            .help = "Containers of a node that may have the provisioning device at a time, with in-process "
                    "attestation",
            .least = 1,
            .most = 1000},
    Setting{.name = "pccsUrl",
            .flag = "--pccs-url",
            .member = &Settings::pccs_url,
            .shown = "URL",
            .help = "The certificate service of the quote helper, as https://pccs.example:8081/sgx/certification/v4/",
            .pattern = "^https?://([a-zA-Z0-9.-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?(/[a-zA-Z0-9._~%/-]*)?$",
            .most = 512,
            .remedy = " is no address of a certificate service: write http:// or https://, a host, a port and a path, "
                      "as in https://pccs.example:8081/sgx/certification/v4/",
            .example = "https://pccs.example:8081/sgx/certification/v4/"},
    Setting{.name = "qcnlConf",
            .flag = "--qcnl-conf",
            .member = &Settings::qcnl_conf,
            .shown = "FILE",
            .help = "A whole sgx_default_qcnl.conf for the quote helper instead of pccsUrl",
            .most = kMostQcnlConf,
            .example = "{}",
            .wrong = wrong_file},
    Setting{.name = "workers",
            .flag = "--workers",
            .member = &Settings::workers,
            .help = "Quote workers of a quote helper on hardware; the helper asks for 5 MiB of EPC for each",
            .least = 1,
            .most = 16},
    Setting{.name = "quotesPerMinute",
            .flag = "--quotes-per-minute",
            .member = &Settings::quotes_per_minute,
            .help = "Quotes a minute that each container may have; 0: no limit",
            .most = 100'000,
            .example = "60"},
    Setting{.name = "quoteSlots",
            .flag = "--quote-slots",
            .member = &Settings::quote_slots,
            .help = "Containers of a node that may have quotes (enclayer.io/quote) at a time",
            .least = 1,
            .most = 1000},
    Setting{.name = "simEpc",
            .flag = "--sim-epc",
            .member = &Settings::sim_epc,
            .shown = "AMOUNT",
            .help = "The EPC that a simulated node pretends to have, 1Mi to 16Ti",
            .pattern = kAmount,
            .least = 1,
            .most = 20,
            .remedy = kAmountRemedy,
            .wrong = wrong_sim_epc},
    Setting{.name = "epcCap",
            .flag = "--epc-cap",
            .member = &Settings::epc_cap,
            .shown = "AMOUNT",
            .help = "Offer no more EPC of a node than this; empty: all of it",
            .pattern = kAmount,
            .most = 20,
            .remedy = kAmountRemedy,
            .example = "64Gi",
            .wrong = wrong_epc},
    Setting{.name = "epcReserve",
            .flag = "--epc-reserve",
            .member = &Settings::epc_reserve,
            .shown = "AMOUNT",
            .help = "Keep this much EPC of a node back, for enclaves of the host; empty: none",
            .pattern = kAmount,
            .most = 20,
            .remedy = kAmountRemedy,
            .example = "64Mi",
            .wrong = wrong_epc},
    Setting{.name = "draEpc",
            .flag = "--dra-epc",
            .member = &Settings::dra_epc,
            .shown = "AMOUNT|PERCENT%",
            .help = "The part of a node's EPC that ResourceClaims get (DRA, Kubernetes 1.36), at 100% all but the "
                    "quote helper's; empty: none",
            .pattern = "^([1-9][0-9]*(Ki|Mi|Gi|Ti)?|([1-9][0-9]?|100)%)$",
            .most = 20,
            .remedy = " is no part of a node's EPC: write 1% to 100%, an amount as 64Gi, or 0 for none",
            .none = "0",
            .example = "50%",
            .wrong = wrong_dra_epc},
    Setting{.name = "draAbove",
            .flag = "--dra-above",
            .member = &Settings::dra_above,
            .shown = "MIB",
            .help = "Containers that ask for more MiB of EPC than this, by any known name, get it by a claim, with "
                    "--dra-epc; 0: none do",
            .most = kMostClaimMib,
            .example = "8192"},
    Setting{.name = "numa",
            .flag = "--numa",
            .member = &Settings::numa,
            .help = "Tell kubelets the NUMA node of each MiB, for their topology manager; nodes of more than 186Gi may "
                    "be refused"},
    Setting{.name = "cdi",
            .flag = "--cdi",
            .member = &Settings::cdi,
            .help = "Containers that do not run as root can open the devices; needs a runtime with CDI, and changes "
                    "nothing with others"},
    Setting{.name = "accountMapped",
            .flag = "--account-mapped",
            .member = &Settings::account_mapped,
            .help = "Metrics of the enclave memory that each pod has mapped. Gives the device plugin hostPID and "
                    "SYS_PTRACE: it can read every process of the node"},
    Setting{.name = "attestationService",
            .flag = "--enable-attestation-service",
            .member = &Settings::attestation_service,
            .help = "The attestation service: judges quotes, gives out tokens, releases secrets. Who controls a node "
                    "that it runs on can make any token: it keeps away from SGX nodes where there are others"},
    Setting{
        .name = "attestationIssuer",
        .flag = "--attestation-issuer",
        .member = &Settings::attestation_issuer,
        .shown = "URL",
        .help = "What its tokens name as issuer, and where clients reach it; empty: "
                "https://enclayer-attest.NAMESPACE.svc. Has the word simulated in it on platform sim, and only there",
        .pattern = "^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-zA-Z0-9._~/-]*[a-zA-Z0-9._~-])?$",
        .most = 512,
        .remedy = " is no issuer: write https://, a host in lower case, and a port and a path if it has any, without "
                  "a slash at the end, as in https://attest.bank.example"},
    Setting{.name = "attestationPolicy",
            .flag = "--attestation-policy",
            .member = &Settings::attestation_policy,
            .shown = "FILE",
            .help = "Which evidence gets a token: a text in Azure Attestation's policy language; all that is verified, "
                    "where none is given",
            .least = 1,
            .most = kMostPolicy,
            .wrong = wrong_file},
    Setting{.name = "attestationVerifyPolicy",
            .flag = "--attestation-verify-policy",
            .member = &Settings::attestation_verify_policy,
            .shown = "FILE",
            .help = "What is verified at all, as in enclayer verify --policy; empty: UpToDate, and no debugger",
            .most = kMostPolicy,
            .example = "{}",
            .wrong = wrong_file},
    Setting{.name = "attestationFmspc",
            .flag = "--attestation-fmspc",
            .member = &Settings::attestation_fmspc,
            .shown = "12-HEX-DIGITS,...",
            .help =
                "Platforms whose quotes it judges, by the FMSPC that enclayer inspect shows; their collateral comes "
                "from pccsUrl, or from Intel",
            .pattern = "^[0-9a-fA-F]{12}(,[0-9a-fA-F]{12})*$",
            .most = 1024,
            .remedy = " is no list of platforms: write 12 hexadecimal digits for each, with commas between them",
            .example = "00606a000000"},
    Setting{.name = "attestationCollateral",
            .flag = "--attestation-collateral",
            .member = &Settings::attestation_collateral,
            .shown = "FILE",
            .help = "In place of attestationFmspc: the collateral itself, as in enclayer verify --collateral",
            .most = kMostCollateral,
            .example = "{}",
            .wrong = wrong_file},
    Setting{.name = "attestationSimulatedRoot",
            .flag = "--attestation-simulated-root",
            .member = &Settings::attestation_simulated_root,
            .shown = "FILE",
            .help = "The root that simulated quotes lead up to, in PEM, as enclayer sim export --root-ca-out writes it",
            .most = kMostRoot,
            .example = "{}",
            .wrong = wrong_file},
    Setting{.name = "attestationAudiences",
            .flag = "--attestation-audience",
            .member = &Settings::attestation_audiences,
            .shown = "NAME,...",
            .help = "Relying parties that it makes EAR tokens for",
            .pattern = "^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*(,[a-zA-Z0-9][a-zA-Z0-9._:/@-]*)*$",
            .most = 1024,
            .remedy = " is no list of audiences: write names or URLs, with commas between them",
            .example = "vault"},
    Setting{.name = "attestationTlsSecret",
            .flag = "--attestation-tls-secret",
            .member = &Settings::attestation_tls_secret,
            .shown = "NAME",
            .help =
                "A Secret of type kubernetes.io/tls in the add-on's namespace with its certificate; empty: it makes "
                "one, and clients trust ConfigMap enclayer-attest-authority",
            .pattern = kObjectName,
            .most = 253,
            .remedy = " is no name of a Secret",
            .example = "attest-tls"},
    Setting{.name = "attestationSecrets",
            .flag = "--attestation-secrets",
            .member = &Settings::attestation_secrets,
            .shown = "NAME",
            .help = "A Secret in the add-on's namespace whose values are released to keys that stand in evidence",
            .pattern = kObjectName,
            .most = 253,
            .remedy = " is no name of a Secret",
            .example = "attested-secrets"},
    Setting{.name = "attestationReleasePolicies",
            .flag = "--attestation-release-policies",
            .member = &Settings::attestation_release_policies,
            .shown = "NAME",
            .help = "... by the policies in this ConfigMap, SECRET.json each, in Key Vault's grammar",
            .pattern = kObjectName,
            .most = 253,
            .remedy = " is no name of a ConfigMap",
            .example = "attested-policies"},
    Setting{.name = "attestationReleaseAccounts",
            .flag = "--attestation-release-accounts",
            .member = &Settings::attestation_release_accounts,
            .shown = "NAMESPACE/NAME,...",
            .help = "... if one of these ServiceAccounts asks",
            .pattern = "^[a-z0-9-]+/[a-z0-9.-]+(,[a-z0-9-]+/[a-z0-9.-]+)*$",
            .most = 4096,
            .remedy = " is no list of ServiceAccounts: write NAMESPACE/NAME for each, with commas between them",
            .example = "bank/app"},
    Setting{.name = "attestationVaultUrl",
            .flag = "--attestation-vault-url",
            .member = &Settings::attestation_vault_url,
            .shown = "URL",
            .help = "... after Vault or OpenBao has decrypted it: the Secret holds ciphertexts of its transit engine",
            .pattern = "^https://[a-zA-Z0-9.-]+(:[0-9]{1,5})?(/[a-zA-Z0-9._~/-]*)?$",
            .most = 512,
            .remedy = " is no address of Vault: write https://, a host and a port, as in https://vault.example:8200",
            .example = "https://vault.example:8200"},
    Setting{.name = "attestationVaultKey",
            .flag = "--attestation-vault-key",
            .member = &Settings::attestation_vault_key,
            .shown = "MOUNT/KEY",
            .help = "... with this key of the transit engine",
            .pattern = "^[a-zA-Z0-9._-]+(/[a-zA-Z0-9._-]+)+$",
            .least = 1,
            .most = 512,
            .remedy = " is no key of Vault: write MOUNT/KEY, as in transit/enclayer-attest"},
    Setting{.name = "attestationVaultSecret",
            .flag = "--attestation-vault-secret",
            .member = &Settings::attestation_vault_secret,
            .shown = "NAME",
            .help =
                "... for the token in this Secret, key token, as Vault's agent renews it; ca.crt beside it is Vault's "
                "authority",
            .pattern = kObjectName,
            .most = 253,
            .remedy = " is no name of a Secret",
            .example = "vault-token"},
    Setting{.name = "metricsPort",
            .flag = "--metrics-port",
            .member = &Settings::metrics_port,
            .help = "The port of metrics and probes at the pods' own addresses; a standby's is the next one",
            .least = 1024,
            .most = 65534},
    Setting{.name = "metrics",
            .flag = "--metrics",
            .member = &Settings::metrics,
            .help = "The daemons serve metrics; without, no port is open for them, and probes run a program in the "
                    "container. On by default"},
    Setting{.name = "metricsFrom",
            .flag = "--metrics-from",
            .member = &Settings::metrics_from,
            .shown = "KEY=VALUE",
            .help = "A label of the namespaces whose pods may scrape the metrics, where the cluster's network knows "
                    "NetworkPolicy; without any nobody may",
            .example = R"({"kubernetes.io/metadata.name": "monitoring"})"},
    Setting{.name = "monitoring",
            .flag = "--enable-monitoring",
            .member = &Settings::monitoring,
            .help = "For clusters with the Prometheus operator: a PrometheusRule with alerts, a PodMonitor, and a "
                    "ConfigMap with a dashboard for Grafana"},
    Setting{.name = "logLevel",
            .flag = "--log-level",
            .member = &Settings::log_level,
            .help = "Least important line that the daemons write to their logs",
            .words = "error warn info debug",
            .example = "debug"},
    Setting{.name = "priorityClass",
            .flag = "--priority-class",
            .member = &Settings::priority_class,
            .shown = "NAME",
            .help = "The priority class of the pods; enclayer-node is the add-on's own",
            .pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            .least = 1,
            .most = 253,
            .remedy = " is no priority class: write its name, as in system-node-critical"},
    Setting{.name = "seLinuxType",
            .flag = "--selinux-type",
            .member = &Settings::selinux_type,
            .shown = "TYPE",
            .help = "The SELinux type of the pods' processes on nodes that enforce it, as container_device_plugin_t; "
                    "empty: the runtime's",
            .pattern = "^[a-zA-Z][a-zA-Z0-9_.-]*$",
            .most = 128,
            .remedy = " is no SELinux type: write its name, as in container_device_plugin_t",
            .example = "container_device_plugin_t"},
    Setting{.name = "tolerations",
            .flag = "--toleration",
            .member = &Settings::tolerations,
            .shown = "KEY[=VALUE][:EFFECT]",
            .help = "A taint that the pods tolerate, beside those of SGX pools; ':EFFECT' is every one of that effect",
            .example = R"([{"key": "dedicated", "operator": "Equal", "value": "sgx", "effect": "NoSchedule"}])",
            .object = toleration},
    Setting{.name = "nodeSelector",
            .flag = "--node-selector",
            .member = &Settings::node_selector,
            .shown = "KEY=VALUE",
            .help = "A label that a node has to have for the pods, beside those that say that SGX is there",
            .example = R"({"pool": "confidential"})"},
    Setting{.name = "imagePullSecrets",
            .flag = "--image-pull-secret",
            .member = &Settings::image_pull_secrets,
            .shown = "NAME",
            .help = "A Secret in the add-on's namespace with which nodes pull the images",
            .example = R"([{"name": "registry"}])",
            .object = named},
    Setting{.name = "podLabels",
            .flag = "--pod-label",
            .member = &Settings::pod_labels,
            .shown = "KEY=VALUE",
            .help = "A label of the pods, beside the add-on's own",
            .example = R"({"team": "platform"})"},
    Setting{.name = "podAnnotations",
            .flag = "--pod-annotation",
            .member = &Settings::pod_annotations,
            .shown = "KEY=VALUE",
            .help = "An annotation of the pods, beside the add-on's own",
            .example = R"({"sidecar.istio.io/inject": "false"})"},
    Setting{.name = "resources",
            .flag = "--resources",
            .member = &Settings::resources,
            .shown = "CONTAINER.limits.memory=AMOUNT",
            .help = "Requests or limits of cpu or memory for a container (attest, claim-templates, device-plugin, "
                    "detect, dra-driver, "
                    "quote-helper) in place of what was measured; a standby has those of the quote helper",
            .example = R"({"device-plugin": {"limits": {"memory": "128Mi"}}})"},
};

std::string range_of(const Setting& one) { return std::to_string(one.least) + " to " + std::to_string(one.most); }

bool is_one_of(std::string_view words, std::string_view word) {
  return !word.empty() && word.find(' ') == word.npos &&
         (" " + std::string(words) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

// What is said of a value that is none for this setting.
std::string kind_of(const Setting& one) {
  if (!one.words.empty()) return "none of: " + std::string(one.words);
  if (one.is<bool>()) return "no true or false";
  if (one.is<Objects>()) return "no list of objects that have texts";
  if (one.has_entries()) return one.is<Texts>() ? "no object that has texts" : "no object of containers' resources";
  return one.is<unsigned>() ? "no number from " + range_of(one) : "no text";
}

Error refused(const Setting& one, const std::string& value, const std::string& what_and_remedy) {
  return {ErrorKind::kInvalidArgument,
          std::string(one.flag) + " " + (value.empty() ? "''" : base::printable(value, 200)) + what_and_remedy};
}

// ---- A value of JSON becomes the setting's; false: it is of another kind. ----

bool take(std::string& to, const Setting&, const Json& value) {
  if (!value.is_string()) return false;
  to = value.get<std::string>();
  return true;
}

bool take(bool& to, const Setting&, const Json& value) {
  if (!value.is_boolean()) return false;
  to = value.get<bool>();
  return true;
}

bool take(unsigned& to, const Setting& one, const Json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > one.most) return false;
  to = value.get<unsigned>();
  return true;
}

bool take(Platform& to, const Setting&, const Json& value) {
  if (value != "hardware" && value != "sim") return false;
  to = value == "sim" ? Platform::kSim : Platform::kHardware;
  return true;
}

template <class Entry>
bool take(std::map<std::string, Entry>& to, const Setting& one, const Json& value) {
  if (!value.is_object()) return false;
  for (const auto& [key, entry] : value.items())
    if (!take(to[key], one, entry)) return false;
  return true;
}

bool take(Objects& to, const Setting& one, const Json& value) {
  if (!value.is_array()) return false;
  for (const Json& entry : value)
    if (!take(to.emplace_back(), one, entry)) return false;
  return true;
}

bool take(Settings& settings, const Setting& one, const Json& value) {
  return std::visit([&](auto member) { return take(settings.*member, one, value); }, one.member);
}

Json json_of(Platform platform) { return to_string(platform); }
Json json_of(const auto& value) { return value; }

Json json_of(const Settings& settings, const Setting& one) {
  return std::visit([&](auto member) { return json_of(settings.*member); }, one.member);
}

// ---- An entry of a map or list, as its flag has it; false: it has another form. ----

bool add(auto&, const Setting&, const std::string&) { return false; }

bool add(Texts& to, const Setting&, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos) return false;
  to[text.substr(0, equals)] = text.substr(equals + 1);
  return true;
}

bool add(Objects& to, const Setting& one, const std::string& text) {
  to.push_back(one.object(text));
  return true;
}

bool add(Resources& to, const Setting& one, const std::string& text) {
  const auto first = text.find('.'), second = text.find('.', first + 1);
  if (first == text.npos || second == text.npos || second > text.find('=')) return false;
  return add(to[text.substr(0, first)][text.substr(first + 1, second - first - 1)], one, text.substr(second + 1));
}

// ---- Whether a value is allowed. ----

Result<> check_value(const Setting& one, const std::string& value) {
  if (value.empty() && one.least == 0 && one.words.empty()) return {};
  if (!one.words.empty()) return is_one_of(one.words, value) ? Result<>() : refused(one, value, " is " + kind_of(one));
  if (value.size() > one.most)
    return refused(
        one, value.substr(0, 40) + "...",
        " has " + std::to_string(value.size()) + " characters, at most " + std::to_string(one.most) + " are possible");
  if (value.empty() && one.pattern.empty()) return refused(one, value, " is empty, and there is no default for that");
  // The length is bounded above: std::regex recurses.
  if (!one.pattern.empty() && !std::regex_match(value, std::regex(one.pattern.begin(), one.pattern.end())))
    return refused(one, value, std::string(one.remedy));
  if (std::string wrong = one.wrong == nullptr ? "" : one.wrong(value); !wrong.empty())
    return refused(one, value, wrong);
  return {};
}

Result<> check_value(const Setting& one, unsigned value) {
  if (value >= one.least && value <= one.most) return {};
  return refused(one, std::to_string(value), " is " + kind_of(one));
}

Result<> check_value(const Setting& one, const auto& entries) {
  std::string text;
  try {
    text = Json(entries).dump();
  } catch (const Json::exception&) {
    return Error(ErrorKind::kInvalidArgument, std::string(one.flag) + ": what is given is no text in UTF-8");
  }
  const std::string wrong = wrong_entry(one.name, text);
  return wrong.empty() ? Result<>() : Error(ErrorKind::kInvalidArgument, std::string(one.flag) + " " + wrong);
}

Result<> check_value(const Setting&, bool) { return {}; }
Result<> check_value(const Setting&, Platform) { return {}; }

// Where the last part of an image reference has its tag: "registry:5000/enclayer:1" -> {"registry:5000/enclayer",
// ":1"}. The tag is empty where there is none, or a digest.
std::pair<std::string, std::string> name_and_tag(const std::string& image) {
  auto slash = image.rfind('/');
  auto colon = image.rfind(':');
  if (image.find('@') != image.npos || colon == image.npos || (slash != image.npos && colon < slash))
    return {image, ""};
  return {image.substr(0, colon), image.substr(colon)};
}

// Empty where the name of the neighbour cannot be known.
std::string dcap_neighbour(const std::string& image) {
  auto [name, tag] = name_and_tag(image);
  if (tag.empty() || !(name == "enclayer" || name.ends_with("/enclayer"))) return "";
  return name + "-dcap" + tag;
}

Result<> check_attestation(const Settings& settings) {
  const bool sim = settings.platform == Platform::kSim;
  auto refused = [](const std::string& why) { return Error(ErrorKind::kInvalidArgument, why); };
  if (const std::string& issuer = settings.attestation_issuer;
      !issuer.empty() && sim != (issuer.find(kSimulated) != issuer.npos))
    return refused("--attestation-issuer " + issuer + (sim ? " does not say " : " says ") + std::string(kSimulated) +
                   ", and the platform is " + std::string(to_string(settings.platform)) +
                   ": no relying party may take a simulation for the real thing. Write another one");
  const std::string who = "--enable-attestation-service ";
  if (settings.attestation_service && sim &&
      (settings.attestation_simulated_root.empty() || settings.attestation_collateral.empty()))
    return refused(who +
                   "on --platform sim needs --attestation-simulated-root and --attestation-collateral: what `enclayer "
                   "sim export` prints in the pod of a quote helper (samples/attested-secret)");
  if (!sim && !settings.attestation_simulated_root.empty())
    return refused("--attestation-simulated-root is for --platform sim; give \"\" where it was set before");
  if (!settings.attestation_fmspc.empty() && !settings.attestation_collateral.empty())
    return refused("--attestation-fmspc " + settings.attestation_fmspc +
                   " and --attestation-collateral are two answers to one question: give one, and \"\" for the other");
  if (settings.attestation_service && settings.attestation_fmspc.empty() && settings.attestation_collateral.empty())
    return refused(who +
                   "needs to know whose quotes it judges: give --attestation-fmspc (`enclayer inspect` shows it of a "
                   "quote) or --attestation-collateral");
  const bool some = !settings.attestation_secrets.empty() || !settings.attestation_release_policies.empty() ||
                    !settings.attestation_release_accounts.empty();
  const bool all = !settings.attestation_secrets.empty() && !settings.attestation_release_policies.empty() &&
                   !settings.attestation_release_accounts.empty();
  if (some && !all)
    return refused(
        "--attestation-secrets, --attestation-release-policies and --attestation-release-accounts belong together: "
        "what is released, by which policies, to whom; give all three or none");
  if (settings.attestation_vault_url.empty() != settings.attestation_vault_secret.empty() ||
      (settings.attestation_secrets.empty() && !settings.attestation_vault_url.empty()))
    return refused(
        "--attestation-vault-url and --attestation-vault-secret belong together, and to --attestation-secrets: which "
        "Vault decrypts them, and for which token");
  return {};
}

// MiB of a simulated node that the device plugin would list; --dra-epc as the driver reads it (device_plugin/node.h).
std::uint64_t listed_of_sim(const Settings& settings) {
  auto mib = [](const std::string& text) { return text.empty() ? 0 : *base::parse_quantity(text) / kMib; };
  std::uint64_t all = mib(settings.sim_epc);
  all -= std::min(all, mib(settings.epc_reserve));
  if (!settings.epc_cap.empty()) all = std::min(all, mib(settings.epc_cap));
  const std::string& part = settings.dra_epc;
  const std::uint64_t claims = part.ends_with('%') ? all * std::stoul(part) / 100 : mib(part);
  return all - std::min(all, claims);
}

// What a single setting cannot know.
Result<> check_together(const Settings& settings) {
  if (!settings.pccs_url.empty() && !settings.qcnl_conf.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--pccs-url " + settings.pccs_url +
                     " and --qcnl-conf are two answers to one question: give one, and \"\" for the other");
  if (settings.platform == Platform::kSim && !(settings.pccs_url.empty() && settings.qcnl_conf.empty()))
    return Error(ErrorKind::kInvalidArgument,
                 std::string(settings.pccs_url.empty() ? "--qcnl-conf" : "--pccs-url") +
                     " is for --platform hardware: simulated quotes have certificates of their own. Leave it out, or "
                     "give \"\" where it was set before");
  if (settings.external_aesmd && settings.quote_helper)
    return Error(
        ErrorKind::kInvalidArgument,
        "--external-aesmd and --enable-sgxquotehelper are two answers to one question: a node's quotes come from "
        "somebody else's aesmd or from the quote helper; switch one of them off");
  if (settings.dra_above > 0 && settings.dra_epc.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--dra-above " + std::to_string(settings.dra_above) +
                     " makes claims of EPC, and no EPC is offered to claims: give --dra-epc too, or --dra-above 0");
  if (const std::string& part = settings.dra_epc; !part.empty() && !part.ends_with('%'))
    for (const auto& [flag, whole] :
         {std::pair{"--sim-epc", settings.platform == Platform::kSim ? settings.sim_epc : ""},
          std::pair{"--epc-cap", settings.epc_cap}}) {
      if (whole.empty()) continue;
      const std::uint64_t kept = plugin_least_epc_mib(settings);
      const std::uint64_t wanted = *base::parse_quantity(part) / kMib, all = *base::parse_quantity(whole) / kMib;
      if (wanted + kept > all)
        return Error(ErrorKind::kInvalidArgument,
                     "--dra-epc " + part + " of " + flag + " " + whole + " leaves less than " + std::to_string(kept) +
                         " MiB to the device plugin, which keeps that" +
                         (settings.quote_helper ? " for the quote helper, its standby and their successors" : "") +
                         ": give at most " + std::to_string(all > kept ? all - kept : 0) + "Mi, or 100%");
    }
  if (settings.platform == Platform::kSim && listed_of_sim(settings) > kMostListedMib)
    return Error(ErrorKind::kInvalidArgument,
                 "--sim-epc " + settings.sim_epc + " leaves " + std::to_string(listed_of_sim(settings)) +
                     " MiB to the device plugin, which lists 256Gi at most: give claims more of it with --dra-epc, or "
                     "offer less with --epc-cap 256Gi");
  if (settings.platform == Platform::kHardware && settings.quote_helper && helper_image(settings).empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--image " + settings.image +
                     " is not named REPOSITORY/enclayer:TAG, so the name of the quote helper's image cannot be derived "
                     "from it: say --dcap-image");
  if (settings.monitoring && !settings.metrics)
    return Error(ErrorKind::kInvalidArgument,
                 "--enable-monitoring and --disable-metrics contradict each other: without metrics there is nothing to "
                 "scrape; leave one out");
  if (const std::size_t size = to_json(settings).size(); size > kMostSettingsJson)
    return Error(ErrorKind::kInvalidArgument, "the settings have " + std::to_string(size) +
                                                  " bytes together, at most " + std::to_string(kMostSettingsJson) +
                                                  " are possible: give smaller files");
  return check_attestation(settings);
}

}  // namespace

std::string_view to_string(Platform platform) { return platform == Platform::kSim ? "sim" : "hardware"; }

Settings::Settings()
    : name_space("enclayer-system"),
      image("localhost/enclayer:" + std::string(base::kVersion)),
      image_pull_policy("IfNotPresent"),
      sim_epc("8Gi"),
      attestation_policy("version=1.0; authorizationrules { => permit(); }; issuancerules { };"),
      attestation_vault_key("transit/enclayer-attest"),
      log_level("info"),
      priority_class("enclayer-node") {}

std::span<const Setting> setting_table() { return kTable; }

const Setting* setting_named(std::string_view name) {
  auto found = std::find_if(kTable.begin(), kTable.end(), [&](const Setting& one) { return one.name == name; });
  return found == kTable.end() ? nullptr : &*found;
}

Result<> check(const Settings& settings) {
  for (const Setting& one : kTable)
    ENCLAYER_CHECK(std::visit([&](auto member) { return check_value(one, settings.*member); }, one.member));
  return check_together(settings);
}

Result<> set(Settings& settings, const Setting& setting, std::span<const std::string> given) {
  if (setting.has_entries()) {
    auto set_all = [&](auto member) -> Result<> {
      settings.*member = {};
      for (const std::string& text : given)
        if (!text.empty() && !add(settings.*member, setting, text))
          return refused(setting, text, " is not of the form " + std::string(setting.shown));
      return {};
    };
    return std::visit(set_all, setting.member);
  }
  const std::string& text = given.back();
  Json value = !text.empty() && text == setting.none ? "" : text;
  if (setting.is<bool>()) value = text == "true";
  if (unsigned number = 0; setting.is<unsigned>()) {
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed == std::errc() && end == text.data() + text.size()) value = number;
  }
  if (take(settings, setting, value)) return {};
  return refused(setting, text, " is " + kind_of(setting));
}

std::string to_json(const Settings& settings, Scope scope) {
  const Settings defaults;
  Json out = Json::object();
  for (const Setting& one : kTable)
    if (Json value = json_of(settings, one); scope == Scope::kAll || value != json_of(defaults, one))
      out[std::string(one.name)] = std::move(value);
  for (const auto& [name, json] : settings.newer) out[name] = Json::parse(json);
  // check() refuses what is not UTF-8; for settings that were never checked, anything is better than an exception.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string value_of(const Settings& settings, const Setting& setting) {
  const Json value = json_of(settings, setting);
  if (value == false || value == 0 || (value.is_structured() && value.empty())) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<Settings> parse_settings_json(std::string_view json) {
  auto malformed = [](const std::string& why) { return Error(ErrorKind::kMalformed, "the add-on's settings " + why); };
  if (json.size() > kMostSettingsJson)
    return malformed("have " + std::to_string(json.size()) + " bytes, at most " + std::to_string(kMostSettingsJson) +
                     " are possible");
  std::set<std::string> keys;
  std::string twice;
  bool too_deep = false;
  Json object = Json::parse(
      json,
      [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second)
          twice = parsed.get<std::string>();
        too_deep = too_deep || depth > 8;  // to write JSON is recursive
        return !too_deep;
      },
      false);
  if (too_deep) return malformed("are nested too deep");
  if (!object.is_object()) return malformed("are no JSON object");
  if (!twice.empty()) return malformed("have the key \"" + base::printable(twice, 100) + "\" twice");

  Settings settings;
  for (const auto& [key, value] : object.items()) {
    const Setting* one = setting_named(key);
    if (one == nullptr)
      settings.newer[key] = value.dump();
    else if (!take(settings, *one, value))
      return malformed("have a \"" + key + "\" that is " + kind_of(*one));
  }
  ENCLAYER_CHECK(check(settings));
  return settings;
}

std::string unknown_settings(const Settings& settings) {
  std::string names;
  for (const auto& [name, json] : settings.newer) names += (names.empty() ? "" : ", ") + base::printable(name, 100);
  if (names.empty()) return "";
  return "a newer enclayer wrote settings that " + std::string(base::kVersion) + " does not know: " + names +
         ". They are kept, and nothing is done with them";
}

unsigned helper_epc_mib(const Settings& settings) { return settings.workers * kWorkerEpcMib; }

unsigned helper_pod_epc_mib(const Settings& settings) { return helper_epc_mib(settings) * (settings.standby ? 2 : 1); }

unsigned helper_node_epc_mib(const Settings& settings) { return 2 * helper_pod_epc_mib(settings); }

unsigned plugin_least_epc_mib(const Settings& settings) {
  return settings.quote_helper ? helper_node_epc_mib(settings) : 1;
}

std::string helper_image(const Settings& settings) {
  if (settings.platform == Platform::kSim) return settings.image;
  return settings.dcap_image.empty() ? dcap_neighbour(settings.image) : settings.dcap_image;
}

std::string attestation_issuer(const Settings& settings) {
  if (!settings.attestation_issuer.empty()) return settings.attestation_issuer;
  return "https://enclayer-attest." + settings.name_space + ".svc" +
         (settings.platform == Platform::kSim ? "/" + std::string(kSimulated) : "");
}

std::string attestation_names(const Settings& settings) {
  const std::string service = "enclayer-attest." + settings.name_space;
  std::string out = service + ".svc," + service;
  std::string host = settings.attestation_issuer;  // https://HOST[:PORT][/PATH]
  if (host.empty()) return out;
  host = host.substr(host.find("//") + 2);
  host = host.substr(0, host.find_first_of(":/"));
  return host == service || host == service + ".svc" ? out : out + "," + host;
}

}  // namespace enclayer::manifests
