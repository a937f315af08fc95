// SPDX-License-Identifier: Apache-2.0
// The Helm chart, made from the same manifests: `# set:` becomes {{ .Values... }}, `# when:` becomes {{ if }}. It lies
// in deploy/chart; `enclayer render --chart deploy/chart` writes it anew, and a test fails when somebody forgot to.
#pragma once

#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::manifests {

struct ChartFile {
  std::string path;  // in the chart's folder: "templates/device-plugin.yaml"
  std::string text;
};

// Every file of the chart. The namespace is the release's, which Helm makes and labels or the user does: the chart has
// no object for it. kInternal: a manifest is no template.
Result<std::vector<ChartFile>> chart();

}  // namespace enclayer::manifests
