// SPDX-License-Identifier: Apache-2.0
// How a quote worker (dcap_worker.h) is started: what the operator's flags become before Intel's libraries see them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::quoting {

struct DcapOptions {
  std::filesystem::path lib_dir;    // where Intel's libraries and enclaves are; empty: where the dynamic linker looks
  std::string pccs_url;             // of the service that has this platform's certificate; empty: as configured
  std::filesystem::path qcnl_conf;  // a configuration of Intel's provider to use instead; not together with pccs_url
  std::filesystem::path
      cache_dir;                  // the one folder that has to be writable; empty: $HOME and so on, as Intel's provider
  std::filesystem::path dev_dir;  // where the SGX device nodes are ("/dev"): only to explain failures
};

// A program with its arguments, and its whole environment.
struct DcapLaunch {
  std::vector<std::string> command;
  std::vector<std::string> environment;
};

// Our own program (`executable`) once more, as a worker. Makes the folder `dcap` in the cache folder (mode 0700) for
// the provider's cache, and in it the provider's configuration: made from pccs_url, or a copy of qcnl_conf, because
// newer versions of Intel's provider read none through a symbolic link, and every file of a ConfigMap is one. The
// environment is `environment` without SGX_AESM_ADDR and with LD_LIBRARY_PATH (lib_dir), QCNL_CONF_PATH (since 1.22; an
// older provider reads only /etc/sgx_default_qcnl.conf) and AZDCAP_CACHE where the options ask for them.
// Errors name the flag at fault.
Result<DcapLaunch> prepare_dcap_launch(const DcapOptions& options, const std::string& executable,
                                       const std::vector<std::string>& environment);

}  // namespace enclayer::quoting
