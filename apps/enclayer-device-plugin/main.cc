// enclayer-device-plugin: offers a node's EPC to pods, through the kubelet.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/log.h"
#include "base/metric_names.h"
#include "cli_support.h"
#include "epc_resource.h"
#include "kubelet/registration.h"
#include "net/http_endpoint.h"

namespace enclayer::device_plugin {
namespace {

namespace log = base::log;

constexpr auto kProgram = "enclayer-device-plugin";

struct Flags {
  apps::DaemonOptions daemon;
  std::string resource = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
  std::string sim_epc = "8Gi";
  std::string sim_device = "/dev/null";
  std::filesystem::path dev_root = "/dev";
  std::filesystem::path sysfs_root = "/sys";
  std::filesystem::path kubelet_dir = "/var/lib/kubelet";
};

constexpr auto kDescription =
    "Offers the EPC of an SGX node to pods, one device per MiB, through the kubelet.\n"
    "A pod that asks for it gets /dev/sgx_enclave and /dev/sgx/enclave:\n"
    "    resources: {limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: 10}}\n";

constexpr auto kFooter =
    "\nExamples:\n"
    "  enclayer-device-plugin\n"
    "      on an SGX node\n"
    "  enclayer-device-plugin --dev-root /host/dev\n"
    "      in a DaemonSet that mounts the host's /dev there, read-only, and /var/lib/kubelet/device-plugins\n"
    "  enclayer-device-plugin --platform sim --sim-epc 4Gi\n"
    "      on any node, for a try: 4,096 MiB of EPC that is none\n"
    "  enclayer-device-plugin --metrics-listen 127.0.0.1:9110 --log-format json\n"
    "\nExit codes: 0 stopped by SIGTERM or SIGINT, 1 misuse, 4 no SGX here (the message names the missing link) or "
    "more EPC\n"
    "than can be listed, 5 the metrics port is taken.";

// Everything that libraries would otherwise take from the environment is a flag.
void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  apps::add_daemon_options(app, flags.daemon);
  app.footer(kFooter);
  app.add_option("--resource", flags.resource, "Name that pods ask for")
      ->option_text("NAME [kubernetes.azure.com/sgx_epc_mem_in_MiB]");
  app.add_option("--sim-epc", flags.sim_epc, "With --platform sim: EPC to pretend, in Ki, Mi, Gi, Ti or bytes")
      ->option_text("AMOUNT [8Gi]");
  app.add_option("--sim-device", flags.sim_device,
                 "With --platform sim: character device of the host that containers get at the SGX paths")
      ->option_text("PATH [/dev/null]");
  app.add_option("--dev-root", flags.dev_root,
                 "Where to look for device nodes; containers get those of the host's /dev")
      ->option_text("DIR [/dev]");
  app.add_option("--sysfs-root", flags.sysfs_root, "Where to look for facts of the kernel")->option_text("DIR [/sys]");
  app.add_option("--kubelet-dir", flags.kubelet_dir, "The kubelet's folder; sockets are in its device-plugins/")
      ->option_text("DIR [/var/lib/kubelet]");
}

Result<EpcOffer> find_offer(const CLI::App& app, const Flags& flags) {
  if (flags.daemon.platform == apps::Platform::kSim)
    return offer_of_simulation(flags.resource, flags.sim_epc, flags.sim_device, flags.dev_root);
  for (const char* flag : {"--sim-epc", "--sim-device"})
    if (app.count(flag) > 0)
      return Error(ErrorKind::kInvalidArgument,
                   std::string(flag) + " means nothing without --platform sim: a simulation is never started silently");
  return offer_of_hardware(flags.resource, flags.dev_root, flags.sysfs_root);
}

// Serves until SIGTERM or SIGINT, which every thread has blocked until then.
Result<> run(const CLI::App& app, const Flags& flags, const sigset_t& ends) {
  ENCLAYER_CHECK(kubelet::check_resource_name(flags.resource));
  ENCLAYER_TRY(EpcOffer offer, find_offer(app, flags));
  ENCLAYER_TRY(kubelet::Plugin plugin, epc_resource(offer));

  base::Metrics metrics;
  metrics.gauge(base::metric::kEpcMib).set(static_cast<double>(offer.mib));
  std::unique_ptr<net::HttpEndpoint> endpoint;
  if (!flags.daemon.metrics_listen.empty()) {
    ENCLAYER_TRY(endpoint, net::serve_metrics(flags.daemon.metrics_listen, metrics));
    log::info("metrics served", {{"address", endpoint->address()}});
  }
  ENCLAYER_TRY(auto registration,
               kubelet::Registration::start(std::move(plugin), std::filesystem::absolute(flags.kubelet_dir),
                                            kubelet::Registration::Way::kRegister, metrics));

  int signal_number = 0;
  ::sigwait(&ends, &signal_number);
  ::pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);  // a second one ends us at once
  log::info("stopping", {{"signal", signal_number == SIGINT ? "SIGINT" : "SIGTERM"}});
  registration.reset();
  return {};
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
  log::setup(flags.daemon.log_level, flags.daemon.log_format);
  auto done = run(app, flags, ends);
  return done ? 0 : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::device_plugin

int main(int argc, char** argv) { return enclayer::device_plugin::main(argc, argv); }
