// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_launch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "quoting/dcap_worker.h"

namespace enclayer::quoting {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostConfiguration = std::size_t{64} << 10;

// The words are those of Intel's sgx_default_qcnl.conf. Its own default of six retries, ten seconds apart, outlasts
// every client of ours; a certificate that was fetched once is cached for a week.
Result<std::string> configuration_for(std::string url) {
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    return Error(ErrorKind::kInvalidArgument, "--pccs-url is \"" + url + "\", it has to begin with https://");
  if (!url.ends_with('/')) url += '/';  // Intel's provider puts its request right behind it
  nlohmann::ordered_json json = {{"pccs_url", url},
                                 {"use_secure_cert", true},
                                 {"retry_times", 2},
                                 {"retry_delay", 1},
                                 {"pck_cache_expire_hours", 168}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void set(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(name + "="); });
  environment.push_back(name + "=" + value);
}

}  // namespace

Result<DcapLaunch> prepare_dcap_launch(const DcapOptions& options, const std::string& executable,
                                       const std::vector<std::string>& environment) {
  if (!options.pccs_url.empty() && !options.qcnl_conf.empty())
    return Error(ErrorKind::kInvalidArgument, "--pccs-url and --qcnl-conf exclude each other: put the URL in the file");
  bool configured = !options.pccs_url.empty() || !options.qcnl_conf.empty();
  if (configured && options.cache_dir.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--pccs-url and --qcnl-conf need --cache-dir, a writable folder, for the provider's configuration");

  DcapLaunch launch;
  launch.command = {executable, std::string(kDcapWorkerFlag), options.lib_dir.string(), options.dev_dir.string()};
  launch.environment = environment;
  std::erase_if(launch.environment, [](const std::string& entry) { return entry.starts_with("SGX_AESM_ADDR="); });

  if (!options.lib_dir.empty()) {
    std::error_code error;
    if (!fs::is_directory(options.lib_dir, error))
      return Error(ErrorKind::kNotFound, "--dcap-lib-dir is " + options.lib_dir.string() + ", which is not a folder");
    std::string folders = options.lib_dir.string();
    for (const std::string& entry : environment)
      if (entry.starts_with("LD_LIBRARY_PATH=") && entry.size() > 16) folders += ":" + entry.substr(16);
    set(launch.environment, "LD_LIBRARY_PATH", folders);
  }
  if (!options.cache_dir.empty()) {
    fs::path folder = options.cache_dir / "dcap";
    if (auto made = base::make_folder(folder, 0700); !made) return made.error().with_context("--cache-dir");
    set(launch.environment, "AZDCAP_CACHE", folder.string());
    if (configured) {
      std::string content;
      if (options.qcnl_conf.empty()) {
        ENCLAYER_TRY(content, configuration_for(options.pccs_url));
      } else {
        auto read = base::read_text(options.qcnl_conf, kMostConfiguration);
        if (!read) return read.error().with_context("--qcnl-conf");
        content = *std::move(read);
      }
      fs::path file = folder / "sgx_default_qcnl.conf";
      if (auto written = base::write_file_atomic(file, base::as_bytes(content), 0600); !written)
        return written.error().with_context("--cache-dir");
      set(launch.environment, "QCNL_CONF_PATH", file.string());
    }
  }
  return launch;
}

}  // namespace enclayer::quoting
