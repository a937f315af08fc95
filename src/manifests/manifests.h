// SPDX-License-Identifier: Apache-2.0
// The add-on's manifests: deploy/manifests, compiled in, with the user's settings in the places that the files mark.
//
// A manifest is YAML that `kubectl apply -k deploy/manifests` takes as it is: with the default settings. Comments make
// it a template, for us and for the Helm chart alike:
//
//   image: localhost/enclayer:0.2.0  # set: image       the default in this line becomes the setting's value
//   # set: podLabels                                    alone in a line: the entries of a map or list, each in a
//                                                       line at this indentation
//   # when: platform=sim                                lines up to "# end" stay only when that holds. Not nested
//   #+      - --sim-epc=8Gi  # set: simEpc              such a line where it does not hold by default: "#+" for two
//   # end                                               columns of indentation
//   # only when: quoteHelper                            in the first lines: the whole file, which is never commented
//   out
//
// Conditions: `quoteHelper` (a switch is on, a text is not empty, a number is not 0), `!quoteHelper`, `platform=sim`,
// `kubernetes>=1.30`; with ", " between them all have to hold. What can be set beside settings is in manifest_text.h.
// docs/decisions/manifests.md says why.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "manifests/settings.h"

namespace enclayer::manifests {

struct ManifestFile {
  std::string_view path;  // below deploy/manifests: "device-plugin.yaml"
  std::string_view text;
};

// Every *.yaml of deploy/manifests and its folders, by path; without the kustomization.yaml files.
std::span<const ManifestFile> manifest_files();

// One object for the API server.
struct Document {
  std::string file;  // where it comes from: "device-plugin.yaml"
  std::string api_version, kind, name;
  std::string name_space;  // empty: the object belongs to the cluster
  std::string component;   // its label app.kubernetes.io/component: "device-plugin", "admission", ...
  std::string text;        // YAML, comments for people included; ends with a newline, has no "---"
};

// The N of Kubernetes 1.N that the manifests are for, and of the first ones with admission policies of a kind as v1.
inline constexpr unsigned kNewestKubernetes = ~0U, kValidatingSince = 30, kMutatingSince = 36;
// And of the first one in which claims have amounts as it comes (DRAConsumableCapacity).
inline constexpr unsigned kClaimAmountsSince = 36;

// All objects for these settings that such a cluster knows, in the order in which they have to be applied: namespaces,
// priority classes, rights, policies and their bindings, configuration, DaemonSets. kInvalidArgument: the settings do
// not pass check(); kInternal: a file is no template, which our tests would have found.
Result<std::vector<Document>> render(const Settings& settings, unsigned kubernetes = kNewestKubernetes);
Result<std::vector<Document>> render(const Settings& settings, std::span<const ManifestFile> files,
                                     unsigned kubernetes = kNewestKubernetes);

// One stream with "---" between them.
std::string to_yaml(std::span<const Document> documents);

}  // namespace enclayer::manifests
