// SPDX-License-Identifier: Apache-2.0
// What a user chooses about the add-on. One struct for everybody: the flags of `enclayer enable`, the ConfigMap that
// remembers them, the values of the Helm chart and the comments of deploy/manifests all have these names.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::manifests {

enum class Platform { kHardware, kSim };
std::string_view to_string(Platform platform);  // "hardware", "sim"

// Kubernetes' own forms, with texts for values: labels, a list of objects, the resources of containers.
using Texts = std::map<std::string, std::string>;
using Objects = std::vector<Texts>;
using Resources = std::map<std::string, std::map<std::string, Texts>>;

// Settings{} is what `enclayer enable` without flags means, and passes check().
struct Settings {
  Settings();

  std::string name_space;  // "namespace" everywhere else: a word that C++ keeps for itself

  // What runs: command line, device plugin, detector and the quote helper with simulated quotes.
  std::string image;
  // The quote helper with Intel's libraries. Empty: that beside `image`, REPO/enclayer-dcap:TAG for REPO/enclayer:TAG.
  std::string dcap_image;
  std::string image_pull_policy;  // Always, IfNotPresent or Never

  Platform platform = Platform::kHardware;
  bool quote_helper = false;
  bool standby = true;  // a second container of the helper's pod, with as many workers, waits to take over
  // Pods may ask for the provisioning device (sgx.intel.com/provision), where their namespace is allowed to.
  bool in_proc_attestation = false;
  // Somebody else's aesmd runs on the nodes: pods with enclayer.io/quote are given its folder. Not with a quote helper.
  bool external_aesmd = false;
  // Compatibility: everybody with EPC gets the provisioning device, unasked.
  bool provision_with_epc = false;
  unsigned provision_limit = 110;  // containers of a node that may have it at a time, with in_proc_attestation

  // The certificate service of the quote helper, or a whole sgx_default_qcnl.conf; at most one of them, on hardware.
  std::string pccs_url;
  std::string qcnl_conf;
  unsigned workers = 1;            // processes of the helper that quote, 1 to 16; each asks for kWorkerEpcMib
  unsigned quotes_per_minute = 0;  // of one who asks; 0: as many as they like
  unsigned quote_slots = 110;      // containers of a node that may have quotes at a time

  std::string sim_epc;  // what a simulated node pretends to have: "8Gi"

  // Of a node's EPC: no more than this is offered; this much is kept back. Empty: all of it; nothing.
  std::string epc_cap, epc_reserve;
  // Of the rest the part that ResourceClaims get, an amount or a percentage; pods' limits get the other. Empty: nothing.
  std::string dra_epc;
  unsigned dra_above = 0;       // MiB of a container above which admission makes a claim of it; 0: of nothing
  bool numa = false;            // the kubelet's topology manager is told the NUMA node of each MiB
  bool cdi = false;             // containers that do not run as root can open the devices
  bool account_mapped = false;  // metrics of what is really mapped; takes hostPID and CAP_SYS_PTRACE

  // The attestation service (docs/attestation-service.md): two replicas that judge quotes and give out tokens.
  bool attestation_service = false;
  std::string attestation_issuer;            // its URL; empty: attestation_issuer()
  std::string attestation_policy;            // text in Azure Attestation's policy language
  std::string attestation_verify_policy;     // JSON as of `enclayer verify --policy`; empty: its default
  std::string attestation_fmspc;             // platforms that collateral is fetched for, or instead:
  std::string attestation_collateral;        // JSON as of `enclayer verify --collateral`
  std::string attestation_simulated_root;    // PEM; on platform sim, and there alone
  std::string attestation_audiences;         // of EAR tokens
  std::string attestation_tls_secret;        // tls.crt and tls.key; empty: it makes a certificate itself
  std::string attestation_secrets;           // a Secret: what it releases, to keys in evidence,
  std::string attestation_release_policies;  // a ConfigMap: by these policies,
  std::string attestation_release_accounts;  // NAMESPACE/NAME of ServiceAccounts: if these ask
  std::string attestation_vault_url;  // what the Secret holds are ciphertexts, which Vault decrypts at their release,
  std::string attestation_vault_key;  // MOUNT/KEY: with this key,
  std::string attestation_vault_secret;  // for the token of this Secret; `ca.crt` beside it: of Vault's authority

  unsigned metrics_port = 9410;  // of plugin and helper, for probes too; the helper's standby has the next one
  bool metrics = true;           // off: no port at all, and the kubelet's probes run a program in the container
  Texts metrics_from;            // labels of the namespaces whose pods may scrape; none: nobody may
  bool monitoring = false;       // for the Prometheus operator: alerts, what to scrape; and a dashboard
  std::string log_level;         // error, warn, info or debug
  std::string priority_class;    // of our pods
  std::string selinux_type;      // that they run as, where nodes enforce SELinux

  // What platform teams say of any DaemonSet; it comes beside what the manifests have.
  Objects tolerations;  // {key, operator, value, effect}
  Texts node_selector;
  Objects image_pull_secrets;  // {name}
  Texts pod_labels, pod_annotations;
  Resources resources;  // "device-plugin" -> "limits" -> "memory" -> "128Mi": in place of what was measured

  // What a newer enclayer wrote and this one does not know: name -> JSON. Kept, so that going back and forth between
  // versions loses nothing, and told (unknown_settings()).
  std::map<std::string, std::string> newer;

  bool operator==(const Settings&) const = default;
};

// QE3 and PCE of one worker take 4.6 MiB (`enclayer epc-savings` says what that rests on).
inline constexpr unsigned kWorkerEpcMib = 5;
// EPC of one quote helper, and of its pod: that of its standby is as much again.
unsigned helper_epc_mib(const Settings& settings);
unsigned helper_pod_epc_mib(const Settings& settings);
// EPC of that pod and, while it is updated, of its successor.
unsigned helper_node_epc_mib(const Settings& settings);
// What of a node's EPC stays with the device plugin whatever `dra_epc` is: the quote helper's, or without one 1 MiB
// (device_plugin::epc_parts()).
unsigned plugin_least_epc_mib(const Settings& settings);
// A ConfigMap holds 1 MiB, and the settings are in it twice.
inline constexpr std::size_t kMostQcnlConf = std::size_t{32} * 1024;
inline constexpr std::size_t kMostCollateral = std::size_t{64} * 1024;  // real ones have 14 to 23 KB
inline constexpr std::size_t kMostPolicy = std::size_t{16} * 1024, kMostRoot = std::size_t{8} * 1024;

// All that is said of one setting. Flags, settings.json, the chart's values with their schema and the names that
// manifests can use are loops over setting_table(); the default is that of Settings{}.
struct Setting {
  std::string_view name;  // "pccsUrl", as in settings.json and in the chart's values.yaml
  std::string_view flag;  // "--pccs-url"
  std::variant<std::string Settings::*, bool Settings::*, unsigned Settings::*, Platform Settings::*, Texts Settings::*,
               Objects Settings::*, Resources Settings::*>
      member;
  std::string_view shown = "N";     // what --help calls the value; "FILE": the flag names a file that has it
  std::string_view help;            // one sentence, for --help, values.yaml and the schema
  std::string_view words = {};      // "hardware sim": the value is one of these
  std::string_view pattern = {};    // of a text: ECMAScript, anchored. Empty: any text
  std::size_t least = 0, most = 0;  // characters of a text, or a number. From 0: it may be empty or 0, for "none"
  std::string_view remedy = {};     // what is said of a text that does not match
  std::string_view none = {};       // what people write for an empty text: "0"
  std::string_view example = {};    // stands for it in deploy/manifests where its default cannot
  // What the pattern cannot tell: what is wrong, as a sentence that the value begins. Empty: nothing.
  std::string (*wrong)(const std::string& value) = nullptr;
  // Of a list: the object that a flag's text means. What entries of lists and maps may be is in entries.h.
  Texts (*object)(const std::string& text) = nullptr;

  template <class Kind>
  bool is() const {  // is<bool>(): it is a switch
    return std::holds_alternative<Kind Settings::*>(member);
  }
  bool has_entries() const { return is<Texts>() || is<Objects>() || is<Resources>(); }  // its flag may be repeated
};
std::span<const Setting> setting_table();             // in the order of the struct
const Setting* setting_named(std::string_view name);  // nullptr: there is none

// kInvalidArgument: the message names the flag, the value and the remedy.
Result<> check(const Settings& settings);

// What stands behind the setting's flag, "true" or "false" for a switch; the last one, where it may not be repeated. All
// entries of a map or list are given anew, and one that is empty counts as none. kInvalidArgument where it is of no such
// kind; check() says whether it is allowed.
Result<> set(Settings& settings, const Setting& setting, std::span<const std::string> given);

// One object with the settings that are not as by default, or with all; ends with a newline. What is remembered are the
// former: who never chose an image gets that of the version that updates the add-on.
enum class Scope { kChosen, kAll };
std::string to_json(const Settings& settings, Scope scope = Scope::kChosen);

// One setting as text: "true", "16", "hardware", JSON of a map or list. What means "off" or "none" is empty: false, 0, an
// empty text, map or list.
std::string value_of(const Settings& settings, const Setting& setting);

// What to_json() wrote, by this version or another: what is missing has its default. kMalformed: no object, longer than
// kMostSettingsJson, nested deeper than 8, a key twice, or a value of another type. kInvalidArgument as by check().
inline constexpr std::size_t kMostSettingsJson = std::size_t{256} * 1024;
Result<Settings> parse_settings_json(std::string_view json);

// A sentence that names what Settings::newer has; empty: nothing.
std::string unknown_settings(const Settings& settings);

// The image that the quote helper runs from: `image` in a simulation, `dcap_image` on hardware. Call it for settings
// that passed check(): an image whose DCAP neighbour has no name that can be derived does not.
std::string helper_image(const Settings& settings);

// What tokens of the attestation service name, and where clients in the cluster reach it: `attestation_issuer`, or the
// Service's name, with "simulated" in the path where it is that.
std::string attestation_issuer(const Settings& settings);
// The names that its certificate is for: those of the Service, and the issuer's host. By commas.
std::string attestation_names(const Settings& settings);

}  // namespace enclayer::manifests
