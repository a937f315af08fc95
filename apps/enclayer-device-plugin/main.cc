// SPDX-License-Identifier: Apache-2.0
// enclayer-device-plugin: offers a node's SGX resources to pods, through the kubelet.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/resource_names.h"
#include "cli_support.h"
#include "device_plugin/accounting.h"
#include "device_plugin/cdi.h"
#include "device_plugin/concerned.h"
#include "device_plugin/node.h"
#include "device_plugin/offering.h"
#include "device_plugin/quote_slots.h"
#include "device_plugin/resources.h"
#include "dra/plugin_part.h"
#include "http/server.h"
#include "kubelet/pod_resources.h"
#include "node_flags.h"
#include "troubles/troubles.h"

namespace enclayer::device_plugin {
namespace {

namespace log = base::log;
namespace metric = base::metric;
using Way = kubelet::Registration::Way;

constexpr auto kProgram = "enclayer-device-plugin";

struct Flags {
  apps::DaemonOptions daemon;
  apps::EpcFlags epc;
  bool numa = false;
  std::size_t enclave_limit = 0, provision_limit = 0, helper_provision_limit = 0, quote_limit = 110;
  Grants grants;
  apps::NodeFlags node;
  Way registration = Way::kRegister;
  std::filesystem::path kubelet_dir = "/var/lib/kubelet";
  std::filesystem::path slots_dir = slots::kDefaultParent, aesmd_dir, cdi_dir = "/var/run/cdi";
  std::filesystem::path troubles_dir;  // empty: nowhere
  bool account_mapped = false;
  std::filesystem::path proc_root = "/proc", kernel_log;
};

constexpr auto kDescription = R"(Offers the EPC of an SGX node to pods, one device per MiB, through the kubelet.
A pod that asks for it gets /dev/sgx_enclave and /dev/sgx/enclave:
    resources: {limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: 10}}
While the quote helper answers, a pod that asks for enclayer.io/quote: 1 gets a socket of its own and SGX_AESM_ADDR=1.
)";

constexpr auto kFooter = R"(
Examples:
  enclayer-device-plugin
      on an SGX node
  enclayer-device-plugin --dev-root /host/dev
      in a DaemonSet that mounts the host's /dev there, read-only, and /var/lib/kubelet/device-plugins
  enclayer-device-plugin --max-epc 64Gi --provision-limit 1
      offers at most 64 GiB, and the provisioning device to one container at a time
  enclayer-device-plugin --platform sim --sim-epc 4Gi
      on any node, for a try: 4,096 MiB of EPC that is none
  enclayer-device-plugin --metrics-listen 127.0.0.1:9110 --log-format json

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 misuse; 3 a file or right is missing that a flag needs; 4 no SGX here
(the message names the missing link), or more EPC than can be listed; 5 the metrics port is taken, or another plugin
serves the resource on this node.)";

// Everything that libraries would otherwise take from the environment is a flag.
void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  apps::add_daemon_options(app, flags.daemon);
  app.footer(kFooter);

  const auto most = kubelet::DeviceList::max_count();
  auto limit = [&](const char* name, std::size_t& value, const std::string& text, const char* unless) {
    app.add_option(name, value, text)
        ->check(CLI::Range(std::size_t{0}, most))
        ->option_text("N [" + std::string(unless) + "]");
  };
  apps::add_epc_flags(app, flags.epc);
  app.add_flag("--numa", flags.numa, "Tell the kubelet the NUMA node of each MiB; fewer of them fit into its list");
  limit("--enclave-limit", flags.enclave_limit,
        "Offer sgx.intel.com/enclave, the enclave device without EPC being counted, to N containers at a time",
        "0: not");
  limit("--provision-limit", flags.provision_limit,
        "Offer sgx.intel.com/provision, the provisioning device, to N containers at a time. It shows a stable "
        "identifier of the platform",
        "0: not");
  limit("--helper-provision-limit", flags.helper_provision_limit,
        "Offer enclayer.io/quote-helper-provision, the same for the add-on's own quote helpers alone, to N of their "
        "containers at a time",
        "0: not");
  limit("--quote-limit", flags.quote_limit,
        "Offer enclayer.io/quote, a socket of the quote helper, to N containers at a time while it answers", "110");
  app.add_flag("--provision-with-epc", flags.grants.provision_with_epc,
               "Compatibility, for in-process attestation: every container with EPC gets the provisioning device too");
  app.add_flag("--cdi", flags.grants.cdi,
               "Write a CDI specification with mode 0666, so that containers that do not run as root can open the "
               "device; needs a runtime with CDI, and changes nothing with others");
  auto* slots_dir =
      app.add_option("--slots-dir", flags.slots_dir,
                     "Where a folder is made for each container that asks for enclayer.io/quote; the quote helper "
                     "serves them")
          ->option_text("DIR [" + std::string(slots::kDefaultParent) + "]");
  app.add_option("--aesmd-dir", flags.aesmd_dir,
                 "Give every such container this folder instead, in which somebody else's aesmd serves aesm.socket")
      ->option_text("DIR")
      ->excludes(slots_dir);
  app.add_option("--troubles-dir", flags.troubles_dir,
                 "Where what is wrong here is left for enclayer-detect, which makes Events of it: in device-plugin/")
      ->option_text("DIR [nowhere]");
  app.add_option("--registration", flags.registration,
                 "How the kubelet learns of us: register calls it; watcher leaves a socket in its plugins_registry")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Way>{{"register", Way::kRegister}, {"watcher", Way::kWatcher}}))
      ->option_text("register|watcher [register]");
  app.add_flag("--account-mapped", flags.account_mapped,
               "Metrics: enclave memory that each pod's processes have mapped; needs hostPID and CAP_SYS_PTRACE");
  apps::add_node_flags(app, flags.node);
  app.add_option("--proc-root", flags.proc_root, "Where --account-mapped looks for processes")
      ->option_text("DIR [/proc]");
  app.add_option("--kernel-log", flags.kernel_log,
                 "Where EPC leaks and memory errors are read from, if that is permitted")
      ->option_text("PATH [<dev-root>/kmsg]");
  app.add_option("--cdi-dir", flags.cdi_dir, "Where container runtimes look for CDI specifications")
      ->option_text("DIR [/var/run/cdi]");
  app.add_option("--kubelet-dir", flags.kubelet_dir,
                 "The kubelet's folder; sockets are in its device-plugins/, plugins_registry/ and pod-resources/")
      ->option_text("DIR [/var/lib/kubelet]");
}

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// What of its part the plugin offers now, beside the DRA driver's claims. Where that was never meant to be, nothing is
// asked and nothing written.
Result<dra::PluginPart> part_now(const EpcParts& parts, const std::filesystem::path& kubelet_dir) {
  const auto folder = kubelet_dir / "plugins" / dra::kDriver;
  std::error_code none;
  if (parts.driver_mib == 0 && !std::filesystem::is_directory(folder, none)) return dra::PluginPart{parts.plugin_mib};
  ENCLAYER_CHECK(base::make_folder(folder, 0750));
  return dra::settle_plugin_part(
      dra::Checkpoint(folder), parts.plugin_mib, parts.all_mib(), [&](std::uint64_t list) -> Result<std::uint64_t> {
        ENCLAYER_TRY(const auto held, kubelet::list_pod_devices(kubelet_dir, {}, base::kEpcResource));
        std::uint64_t beyond = 0;
        for (const auto& container : held)
          beyond += static_cast<std::uint64_t>(std::count_if(container.listed.begin(), container.listed.end(),
                                                             [&](std::uint32_t device) { return device >= list; }));
        return beyond;
      });
}

// None where no quotes are offered, or somebody else's aesmd makes them. `who` as of kubelet::list_pod_devices().
Result<std::unique_ptr<QuoteSlots>> slots_of(const Flags& flags, std::function<QuoteSlots::PodDevices()> who) {
  if (flags.quote_limit == 0 || !flags.aesmd_dir.empty()) return std::unique_ptr<QuoteSlots>();
  if (flags.quote_limit > QuoteSlots::kMost)
    return Error(ErrorKind::kInvalidArgument, "--quote-limit " + std::to_string(flags.quote_limit) + ": at most " +
                                                  std::to_string(QuoteSlots::kMost) +
                                                  " containers have a slot of the quote helper");
  auto uids = [&flags] {
    return kubelet::read_pod_uids(std::filesystem::absolute(flags.kubelet_dir), kQuoteResource)
        .value_or(kubelet::PodUids());
  };
  auto seconds = [] { return static_cast<std::uint64_t>(now().time_since_epoch().count()); };
  return std::make_unique<QuoteSlots>(std::filesystem::absolute(flags.slots_dir), flags.quote_limit,
                                      QuoteSlots::Sources{std::move(who), seconds, uids});
}

// EPC first.
Result<std::vector<Offer>> offers_of(const Node& node, kubelet::DeviceList epc, const Flags& flags, QuoteSlots* slots) {
  std::vector<Offer> offers;
  auto add = [&](Result<Offer> offer) -> Result<> {
    if (!offer) return offer.error();
    offers.push_back(std::move(*offer));
    return {};
  };
  ENCLAYER_CHECK(add(offer_epc(base::kEpcResource, std::move(epc), node, flags.grants)));
  if (flags.enclave_limit > 0) ENCLAYER_CHECK(add(offer_enclave(flags.enclave_limit, node, flags.grants)));
  if (flags.provision_limit > 0) ENCLAYER_CHECK(add(offer_provision(flags.provision_limit, node, flags.grants)));
  if (flags.helper_provision_limit > 0)
    ENCLAYER_CHECK(add(offer_helper_provision(flags.helper_provision_limit, node, flags.grants)));
  if (slots) ENCLAYER_CHECK(add(offer_quote(flags.quote_limit, *slots, node.simulated)));
  if (!flags.aesmd_dir.empty() && flags.quote_limit > 0)
    ENCLAYER_CHECK(add(offer_aesmd(flags.quote_limit, std::filesystem::absolute(flags.aesmd_dir), node.simulated)));
  if (flags.grants.provision_with_epc)
    log::warn("every container with EPC gets the provisioning device, and with it a stable identifier of the platform",
              {{"flag", "--provision-with-epc"}});
  return offers;
}

// Serves until SIGTERM or SIGINT, which every thread has blocked until then. False: until the list has to be another one,
// because claims or pods gave EPC of the other door's back.
Result<bool> run(const CLI::App& app, const Flags& flags, const sigset_t& ends) {
  ENCLAYER_TRY(const Node node, apps::find_node(app, flags.daemon.platform, flags.node));
  const auto kubelet_dir = std::filesystem::absolute(flags.kubelet_dir);
  auto who = [kubelet_dir] { return kubelet::list_pod_devices(kubelet_dir, base::kEpcResource, kQuoteResource); };
  ENCLAYER_TRY(auto slots, slots_of(flags, who));
  ENCLAYER_TRY(const EpcParts parts, apps::epc_parts(node, flags.epc));
  ENCLAYER_TRY(auto part, part_now(parts, kubelet_dir));
  ENCLAYER_TRY(auto epc, epc_devices(part.offered_mib, parts, flags.numa, flags.node.sysfs_root));
  ENCLAYER_TRY(auto offers, offers_of(node, std::move(epc), flags, slots.get()));
  std::vector<Device> devices = {node.enclave};
  if (node.provision) devices.push_back(*node.provision);
  if (flags.grants.cdi) ENCLAYER_CHECK(write_cdi_spec(flags.cdi_dir, devices));

  base::Metrics metrics;
  std::uint64_t epc_mib = node.epc_bytes / sgx::kMiB;
  metrics.gauge(metric::kEpcCapacityMib).set(static_cast<double>(epc_mib));
  metrics.gauge(metric::kEpcMib).set(static_cast<double>(offers.front().plugin.devices.count()));

  // A page of metrics asks the kubelet anyway: the slots' names are kept with the same answer.
  Accounting::Sources sources{who, flags.node.sysfs_root, flags.kernel_log, std::nullopt};
  if (slots) sources.devices = [&slots] { return slots->ask(); };
  if (sources.kernel_log.empty()) sources.kernel_log = flags.node.dev_root / "kmsg";
  if (flags.account_mapped) sources.proc_root = flags.proc_root;
  ENCLAYER_TRY(auto accounting, Accounting::start(node, sources, metrics));

  std::optional<troubles::Board> board;
  if (!flags.troubles_dir.empty()) board.emplace(flags.troubles_dir / troubles::kDevicePlugin, now());

  auto at_each_look = [&](const Offering::Troubles& wrong) {
    accounting->read_kernel_log();
    if (board) {
      const Time moment = now();
      for (const auto& [kind, sentence] : wrong)
        board->say(kind, sentence, moment, [&, which = kind] { return concerned_by(which, kubelet_dir); });
      board->say(troubles::kEpcDamaged, accounting->damage(), moment);
      board->keep(moment);
    }
    for (const Device& device : devices)
      metrics.gauge(metric::kDeviceUsable, {{"device", device.name}}).set(device.why_not().empty() ? 1 : 0);
    if (!flags.grants.cdi) return;
    if (auto written = write_cdi_spec(flags.cdi_dir, devices); !written)  // the group may be another one now
      log::warn("CDI specification cannot be written", {{"reason", written.error().message()}});
  };
  if (slots) ENCLAYER_CHECK(slots->start());
  ENCLAYER_TRY(auto offering,
               Offering::start(std::move(offers), {kubelet_dir, flags.registration}, metrics, at_each_look));

  if (slots) slots->keep_names();

  std::unique_ptr<http::Server> endpoint;
  if (!flags.daemon.metrics_listen.empty()) {
    http::Probes probes;
    probes.before_metrics = [&accounting] { accounting->refresh(); };
    probes.not_ready = [&offering] { return offering->not_ready(); };
    ENCLAYER_TRY(endpoint, http::serve_metrics(flags.daemon.metrics_listen, metrics, probes));
    log::info("metrics served", {{"address", endpoint->address()}});
  }

  int signal_number = -1;
  for (constexpr timespec kPause{5, 0}; signal_number < 0 && !part.settled;) {
    signal_number = ::sigtimedwait(&ends, nullptr, &kPause);
    if (signal_number > 0) break;
    auto now = part_now(parts, kubelet_dir);
    if (!now) {
      log::warn("whether the other door's EPC is free is not known", {{"reason", now.error().message()}});
    } else if (now->offered_mib != part.offered_mib) {
      log::info("the list of EPC is made anew", {{"before_mib", part.offered_mib}, {"now_mib", now->offered_mib}});
      return false;
    } else {
      part = *now;
    }
  }
  if (signal_number < 0) ::sigwait(&ends, &signal_number);
  ::pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);  // a second one ends us at once
  log::info("stopping", {{"signal", signal_number == SIGINT ? "SIGINT" : "SIGTERM"}});
  endpoint.reset();
  offering.reset();
  return true;
}

int main(int argc, char** argv) {
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  if (auto ended = apps::begin_daemon(kProgram, flags.daemon)) return *ended;
  auto done = run(app, flags, ends);
  while (done && !*done) done = run(app, flags, ends);
  return done ? 0 : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::device_plugin

int main(int argc, char** argv) { return enclayer::device_plugin::main(argc, argv); }
