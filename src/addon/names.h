// SPDX-License-Identifier: Apache-2.0
// Names that manifests, cluster and command line agree on.
#pragma once

#include <string_view>

#include "base/resource_names.h"

namespace enclayer::addon {

inline constexpr std::string_view kFieldManager = "enclayer";

// Labels of every object of ours. Helm writes itself into the second one; what has it as we wrote it, we may remove.
inline constexpr std::string_view kPartOf = "app.kubernetes.io/part-of", kManagedBy = "app.kubernetes.io/managed-by",
                                  kOurs = "enclayer";
inline constexpr std::string_view kComponent = "app.kubernetes.io/component";
// Annotation: the version of the enclayer that wrote the object.
inline constexpr std::string_view kVersionAnnotation = "enclayer.io/version";

// The ConfigMap that remembers what the user chose, and its keys.
inline constexpr std::string_view kSettingsMap = "enclayer-addon";
inline constexpr std::string_view kSettingsKey = "settings.json", kPreviousKey = "previous.json";

inline constexpr std::string_view kDetect = "enclayer-detect", kPlugin = "enclayer-device-plugin",
                                  kDriver = "enclayer-dra-driver", kHelper = "enclayer-quote-helper";
// Our programs' names begin so; the container that a program is the daemon of has the rest.
inline constexpr std::string_view kProgramPrefix = "enclayer-";
// The attestation service: its Deployment, and what the label kComponent says of it.
inline constexpr std::string_view kAttest = "enclayer-attest", kAttestation = "attestation-service";
// The helper's second container.
inline constexpr std::string_view kStandby = "standby";

// Node labels: those that `enclayer detect` writes begin with kOurPrefix, and so does the user's kSimLabel.
inline constexpr std::string_view kOurPrefix = "enclayer.io/";
inline constexpr std::string_view kSgxLabel = "enclayer.io/sgx", kSimLabel = "enclayer.io/sim",
                                  kEpcMibLabel = "enclayer.io/epc-mib";

using base::kDraCapacity, base::kDraDriver, base::kEpcResource, base::kProvisionResource, base::kQuoteResource,
    base::kForeignEpc;

}  // namespace enclayer::addon
