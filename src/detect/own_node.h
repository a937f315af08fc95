// SPDX-License-Identifier: Apache-2.0
// A node's labels, kept right through the API server, with the rights of the pod that we run in.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "detect/findings.h"
#include "enclayer/error.h"
#include "http/account_client.h"

namespace enclayer::detect {

// How long one labelling may take, all its requests and pauses together.
http::Limits api_limits();

struct Labelled {
  std::vector<std::string> set, removed;  // keys, in their order; both empty: everything was as it should be
  bool taken_out = false;                 // a simulation was asked for, and the node does not carry kSimLabel=true
};

// Compares the labels of node `name` with `wanted` and changes those of own_labels() that are wrong, and nothing else.
// Where `wanted` are of a simulation (kPlatformLabel is "sim") the node must carry the user's kSimLabel=true; otherwise
// all of own_labels() are removed. Where there are labels, kCdiLabel is added on a node whose container runtime is known,
// and known to start containers without the devices of their claims. When the node changes meanwhile, it is read again,
// three times at most; `options` has limits, user agent and pause.
// kInvalidArgument: no name of a node. Other errors are those of http::AccountClient, and kConflict
// when the node does not keep still or the API server does not keep our labels.
Result<Labelled> label_node(const http::ApiServer& api, const std::string& name, const Labels& wanted,
                            http::Options options);

}  // namespace enclayer::detect
