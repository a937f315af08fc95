// SPDX-License-Identifier: Apache-2.0
// enclayer-dra-driver: offers a node's EPC to ResourceClaims, as an amount (Dynamic Resource Allocation).
#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/dns_name.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cli_support.h"
#include "device_plugin/node.h"
#include "dra/driver.h"
#include "dra/node_devices.h"
#include "http/server.h"
#include "node_flags.h"
#include "sgx/cpuid.h"
#include "sgx/epc.h"
#include "sgx/platform.h"
#include "slots/slots.h"

namespace enclayer::dra {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;

constexpr auto kProgram = "enclayer-dra-driver";

struct Flags {
  apps::DaemonOptions daemon;
  std::string node;
  bool provision = false, force_cdi = false;
  apps::NodeFlags sgx;
  apps::EpcFlags epc;
  fs::path kubelet_dir = "/var/lib/kubelet";
  fs::path slots_dir = slots::kDefaultParent, cdi_dir = "/var/run/cdi";
  fs::path account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
};

constexpr auto kDescription =
    R"(Offers the EPC of an SGX node to ResourceClaims, as an amount, through the kubelet and the API server.
A claim of class sgx-epc.enclayer.io gets what it asks for, and its containers /dev/sgx_enclave and /dev/sgx/enclave:
    exactly: {deviceClassName: sgx-epc.enclayer.io, capacity: {requests: {epc: 64Gi}}}
Kubernetes 1.36 or later, and a container runtime with CDI.
)";

constexpr auto kFooter = R"(
enclayer-device-plugin on the same node has --max-epc, --reserve-epc, --dra-epc and --helper-epc as the driver has them:
then their parts add up. The driver gives nothing before that one has said which EPC is its own.

Examples:
  enclayer-dra-driver --node $(NODE_NAME) --dra-epc 100%
      in a DaemonSet that mounts plugins_registry/ and plugins/sgx.enclayer.io/ of /var/lib/kubelet, and /var/run/cdi
  enclayer-dra-driver --node $(NODE_NAME) --dra-epc 64Gi --provision
      64 GiB of the EPC, and the provisioning device for claims of class sgx-provision.enclayer.io
  enclayer-dra-driver --node $(NODE_NAME) --dra-epc 50% --platform sim --sim-epc 256Gi
      on any node, for a try: 128 GiB of EPC that is none

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 misuse, or more EPC than the node has; 2 a container runtime that may pass
CDI over, a cluster that does not keep amounts, or a ledger of a newer version; 3 a file, a right or the node is missing;
4 no SGX here (the message names the missing link); 5 the port for metrics is taken.)";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  apps::add_daemon_options(app, flags.daemon);
  app.footer(kFooter);
  app.add_option("--node", flags.node, "The name of the node that we run on")->option_text("NAME");
  app.add_flag("--provision", flags.provision,
               "Offer the provisioning device to claims of class sgx-provision.enclayer.io. It shows a stable "
               "identifier of the platform");
  app.add_flag("--force-cdi", flags.force_cdi,
               "Serve whatever the container runtime is, because CDI is known to be on");
  app.add_option("--slots-dir", flags.slots_dir, "Where a folder is made for each claim that asks for quotes")
      ->option_text("DIR [" + std::string(slots::kDefaultParent) + "]");
  app.add_option("--cdi-dir", flags.cdi_dir, "Where container runtimes look for CDI specifications")
      ->option_text("DIR [/var/run/cdi]");
  app.add_option("--kubelet-dir", flags.kubelet_dir, "The kubelet's folder; we use its plugins_registry/ and plugins/")
      ->option_text("DIR [/var/lib/kubelet]");
  app.add_option("--account-dir", flags.account_dir, "Where the pod's token and ca.crt are")
      ->option_text("DIR [/var/run/secrets/kubernetes.io/serviceaccount]");
  apps::add_epc_flags(app, flags.epc);
  apps::add_node_flags(app, flags.sgx);
}

Result<NodeDevices> devices_of(const device_plugin::Node& node, const Flags& flags) {
  if (!base::is_dns_name(flags.node))
    return Error(ErrorKind::kInvalidArgument, "--node: that is no name of a node; 'kubectl get nodes' lists them");
  NodeDevices devices;
  devices.node = flags.node;
  devices.simulated = node.simulated;
  ENCLAYER_TRY(const device_plugin::EpcParts parts, apps::epc_parts(node, flags.epc));
  auto numa_bytes = sgx::epc_of_numa_nodes(flags.sgx.sysfs_root);
  if (!numa_bytes && numa_bytes.error().kind() != ErrorKind::kUnavailable) return numa_bytes.error();
  if (numa_bytes && std::any_of(numa_bytes->begin(), numa_bytes->end(), [](std::uint64_t here) { return here > 0; }))
    devices.numa_mib = device_plugin::spread(parts.all_mib(), *numa_bytes);
  devices.all_mib = parts.all_mib();
  ENCLAYER_TRY(devices.sections, sections_of(parts.driver_mib, devices.numa_mib));
  if (flags.provision && !node.provision)
    return Error(ErrorKind::kUnavailable, "--provision: this node's SGX driver has no provisioning device");
  devices.provision = flags.provision;
  if (!node.simulated) {
    const auto features = sgx::cpu_features(sgx::cpuid_of_this_machine());
    devices.sgx2 = features.sgx2;
    devices.launch_control = features.launch_control;
  }
  log::info("EPC offered to claims", {{"mib", parts.driver_mib},
                                      {"of_mib", parts.all_mib()},
                                      {"sections", devices.sections.size()},
                                      {"provision", devices.provision}});
  return devices;
}

Result<http::ApiServer> find_api_server(const Flags& flags) {
  return http::api_server_of_pod(apps::environment("KUBERNETES_SERVICE_HOST"),
                                 apps::environment("KUBERNETES_SERVICE_PORT"), flags.account_dir);
}

Result<> run(const CLI::App& app, const Flags& flags, int stop) {
  if (flags.epc.dra_epc == "0")
    return Error(ErrorKind::kInvalidArgument, "--dra-epc says which part of the EPC is offered, and is not given");
  ENCLAYER_TRY(auto node, apps::find_node(app, flags.daemon.platform, flags.sgx));
  ENCLAYER_TRY(auto devices, devices_of(node, flags));
  ENCLAYER_TRY(auto api, find_api_server(flags));
  auto now = [] {
    auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(since_1970).count());
  };
  Driver driver(std::move(node), std::move(devices),
                {.kubelet_dir = fs::absolute(flags.kubelet_dir),
                 .cdi = fs::absolute(flags.cdi_dir),
                 .slots = fs::absolute(flags.slots_dir),
                 .api = std::move(api),
                 .force_cdi = flags.force_cdi,
                 .now = now});

  base::Metrics metrics;
  std::unique_ptr<http::Server> endpoint;
  if (!flags.daemon.metrics_listen.empty()) {
    http::Probes probes;
    probes.before_metrics = [&driver, &metrics] { driver.measure(metrics); };
    probes.not_ready = [&driver] { return driver.not_ready(); };
    ENCLAYER_TRY(endpoint, http::serve_metrics(flags.daemon.metrics_listen, metrics, probes));
    log::info("metrics served", {{"address", endpoint->address()}});
  }
  ENCLAYER_CHECK(driver.run(stop));
  log::info("stopping");
  return {};
}

int main(int argc, char** argv) {
  // One heap for all threads: what they free is used again, whoever needs it.
  ::mallopt(M_ARENA_MAX, 1);
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const base::UniqueFd stop(::signalfd(-1, &ends, SFD_CLOEXEC));

  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  if (auto ended = apps::begin_daemon(kProgram, flags.daemon)) return *ended;
  auto done = run(app, flags, stop.get());
  return done ? 0 : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::dra

int main(int argc, char** argv) { return enclayer::dra::main(argc, argv); }
