// SPDX-License-Identifier: Apache-2.0
// Whether admission does what it is there for: its policies and their bindings are there and as the settings make them,
// and the API server acts on them, which a pod tells that is tried and never made (dryRun=All).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/install.h"

namespace enclayer::addon {

// Whether EPC under another vendor's name becomes ours in pods that are made here.
struct Translation {
  enum Answer { kYes, kNo, kNotKnown } works = kNotKnown;
  std::string why = {};  // unless it works

  std::string text() const;  // "yes", "no, because ...", "not known, because ..."
};

// Tries a pod in the namespace `default`, again until it is translated or `patience` is over: an API server takes seconds
// to act on policies that are new.
Translation try_translation(const ApiServer& api, const Cluster& cluster, std::chrono::seconds patience = {});

// A policy or binding that is not as it should be.
struct Flaw {
  std::string kind, name;
  std::string what;  // "is missing", "was changed", "does nothing: it has no binding"
};

// What is seen by names alone: what is missing of `expected`, and policies of ours without a binding, which do nothing.
std::vector<Flaw> missing(const Cluster& cluster, std::span<const manifests::Document> expected);

// Which enclayer's manifests the add-on is made of: as is remembered, or else as its policies say. Empty: neither does.
std::string written_by(const Cluster& cluster, const Remembered* before);

struct Protection {
  std::vector<Flaw> flaws;
  std::string
      not_known;  // why what is there could not be compared with what should be; empty: it was, or needs no look
  Translation translation;
};

// `before`: what the cluster remembers; nullptr: nothing, so that only names are looked at. What another version of
// enclayer wrote is not compared with what this one would write.
Protection look_at_protection(const ApiServer& api, const Cluster& cluster, const Remembered* before);

// One sentence; empty: nothing is wrong.
std::string in_words(const std::vector<Flaw>& flaws);

}  // namespace enclayer::addon
