// SPDX-License-Identifier: Apache-2.0
// What the admission policies do to pods in a cluster, done to manifests before they reach one: for clusters without
// MutatingAdmissionPolicy (Kubernetes before 1.36, or where it is closed), for review, for CI.
//
// YAML or JSON goes in, one document or many, and comes out with the changes written into its text:
//
//          limits:                                     limits:
//            sgx.intel.com/epc: 10Mi  # 10 MiB    ->     kubernetes.azure.com/sgx_epc_mem_in_MiB: 10  # 10 MiB
//
// A document in which nothing changes stays byte for byte as it was. In others, what is not changed stays: comments,
// quotes, order. Lost are comments on the lines of what is removed (a mount and its volume, a second EPC name).
//
// Pods are found where they are: Pod, whatever has a template of them (Deployment, DaemonSet, StatefulSet, ReplicaSet,
// Job, CronJob, kinds of others with spec.template), and all of these in a List or kustomize's ResourceList. The rules
// are those of deploy/manifests/admission-*.yaml; `test/e2e/policies` compares both, pod by pod, on real API servers.
// What only a cluster knows is left to it: labels of namespaces, defaults of LimitRanges, what a webhook adds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::translate {

// What the cluster that the manifests are for was set up with (`enclayer show` says it).
struct Cluster {
  bool quote_helper = false;        // mounts of /var/run/aesmd become enclayer.io/quote
  bool provision_with_epc = false;  // in-process attestation needs no resource of its own
  bool claims = false;              // EPC will be claims, so that its size costs nothing: translate_to_claims()
};

// A sentence about one place in the text.
struct Finding {
  enum class Kind {
    kChanged,  // the output differs here
    kWarned,   // may be meant, and may be a mistake
    kRefused,  // cannot be meant; the policies refuse it
  } kind;
  std::size_t line;  // from 1
  std::string
      text;  // "Deployment web: container web asks for ..."; bytes from outside in it: printable() before it is shown
};

struct Translated {
  std::string text;
  std::vector<Finding> findings;  // by line
};

inline constexpr std::size_t kMaxText = 16 << 20;  // bytes

// kMalformed: no YAML, with the line; more than 100 levels or 500,000 values; a key twice in a map.
// kUnsupported: an anchor or alias in a pod that names SGX, where a change in one place would be one in another; a layout
// into which a change cannot be written.
Result<Translated> translate(std::string_view text, const Cluster& cluster);

// The same, and then EPC as ResourceClaims (claims.h), with the templates that they need as documents at the end. For
// clusters with `enclayer enable --dra-epc`.
Result<Translated> translate_to_claims(std::string_view text, const Cluster& cluster);

}  // namespace enclayer::translate
