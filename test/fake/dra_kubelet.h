// SPDX-License-Identifier: Apache-2.0
// A stand-in for what the kubelet does with a DRA driver: finds its socket in plugins_registry/, asks who it is, tells it
// what came of that, has it prepare and release claims, and listens to its health. It calls as kubelet 1.36 does, on one
// connection (authority "localhost"), and checks nothing that a test could not see.
//
//   fake::DraKubelet kubelet(folder);                  // the driver runs with --kubelet-dir <folder>
//   ENCLAYER_TRY(auto driver, kubelet.register_driver(10s));
//   ENCLAYER_TRY(auto prepared, kubelet.prepare({{"bank", "ledger-0-epc", uid}}));
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::fake {

class DraKubelet {
 public:
  // Makes plugins_registry/ and plugins/ where they are missing.
  explicit DraKubelet(const std::filesystem::path& folder);
  ~DraKubelet();

  struct Driver {
    std::string type, name, socket, endpoint;  // endpoint: empty where it is the socket itself
    std::vector<std::string> services;
  };
  // Waits for a socket that was not there before, asks, and tells the driver that it is registered, or `refusal`.
  Result<Driver> register_driver(std::chrono::milliseconds timeout, const std::string& refusal = "");

  // --- Of the driver that was registered last ---

  struct Claim {
    std::string name_space, name, uid;
  };
  struct Device {
    std::vector<std::string> requests, cdi_ids;
    std::string pool, device, share_id;
  };
  struct Prepared {
    std::vector<Device> devices;
    std::string error;
  };
  Result<std::map<std::string, Prepared>> prepare(const std::vector<Claim>& claims);       // by UID
  Result<std::map<std::string, std::string>> unprepare(const std::vector<Claim>& claims);  // errors, by UID

  struct Health {
    std::string pool, device, message;
    bool healthy = false;
    std::int64_t timeout_seconds = 0;
  };
  // Listens until `enough` says yes to what was said; `service` is "v1" or "v1alpha1".
  Result<std::vector<Health>> health(const std::string& service,
                                     const std::function<bool(const std::vector<Health>&)>& enough,
                                     std::chrono::milliseconds timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enclayer::fake
