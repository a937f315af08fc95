// SPDX-License-Identifier: Apache-2.0
// What happens when a pod with a claim comes and goes. Prepared, a claim has
//   its entry in the ledger   on disk before anything is given, so that nothing is given twice whenever we are killed
//   its slot                  where it asks for quotes, with its holder in holders-dra.json
//   its CDI file              last, so that the runtime finds all that it names
// Unprepared, these go in the opposite order. Each step may be repeated.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "device_plugin/node.h"
#include "dra/cdi_files.h"
#include "dra/ledger.h"
#include "dra/node_devices.h"
#include "dra/resource_claim.h"
#include "enclayer/error.h"

namespace enclayer::dra {

// For the kubelet.
struct PreparedDevice {
  std::string request, device, share_id, cdi_id;

  bool operator==(const PreparedDevice&) const = default;
};

class Preparation {
 public:
  struct Places {
    std::filesystem::path state;  // of the ledger: /var/lib/kubelet/plugins/sgx.enclayer.io
    std::filesystem::path cdi;    // /var/run/cdi
    std::filesystem::path slots;  // slots::kDefaultParent, the path on the host
  };

  // ResourceClaims as the API server has them (ApiClient).
  struct Claims {
    std::function<Result<std::string>(const ClaimName&)> one;
    std::function<Result<std::vector<std::string>>()> all;
  };

  Preparation(device_plugin::Node node, NodeDevices devices, Places places);

  // Makes the folder of the ledger. Releases the claims that are gone, or others of the same name by now: a kubelet that
  // lost its state never does. Removes what is left over of claims that are not in the ledger, CDI files and slots, and
  // what an instance that was killed had half written. All
  // claims are only asked for where the ledger is damaged.
  Result<> start(const Claims& claims) const;

  // The devices that the claim's containers get, the same whenever it is asked. Nothing is given while a device cannot
  // be used: kUnavailable. Otherwise what allocation_of() and Ledger::hold() say, and what disk and API server do. Any
  // thread; other calls are waited for, 10 s at most.
  Result<std::vector<PreparedDevice>> prepare(const ClaimName& claim, const Claims& claims) const;

  // What may be given now: less than `devices` while pods hold EPC of the driver's part through the device plugin
  // (dra/plugin_part.h). kUnavailable while that has not said. Any thread.
  Result<NodeDevices> offered() const;

  // What is held by now. Any thread.
  Result<Ledger> held() const;

  // A claim that is not known is all right. Any thread.
  Result<> unprepare(const ClaimName& claim, const Claims& claims) const;

 private:
  Result<NodeDevices> offered_now() const;  // under the lock

  // Under the lock. A damaged ledger is moved aside, said in the log, and made anew of the claims that have a CDI file
  // here, as the API server has them.
  Result<Ledger> load(const Claims& claims) const;
  Result<> remove_slots(const std::function<bool(const std::string& claim_uid)>& whose) const;
  bool is_gone(const ClaimName& claim, const Claims& claims) const;
  std::string why_not(const Share& share) const;

  const device_plugin::Node node_;
  const NodeDevices devices_;
  const Places places_;
  const Checkpoint checkpoint_;
  const CdiFiles cdi_;
};

}  // namespace enclayer::dra
