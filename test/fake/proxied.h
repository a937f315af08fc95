// SPDX-License-Identifier: Apache-2.0
// An API server behind a kubectl that a test writes.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/api_server.h"
#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::fake {

// A program in place of kubectl that says what a proxy says, and an API server on its socket.
class Proxied {
 public:
  explicit Proxied(HttpService::Handler handler, const std::string& script = "echo serving; exec sleep 600")
      : service_(std::move(handler), std::nullopt, addon::ApiServer::socket_in(folder_.path())) {
    folder_.write("kubectl", "#!/bin/sh\necho \"$@\" > " + (folder_.path() / "called").string() + "\n" + script + "\n");
    std::filesystem::permissions(folder_.path() / "kubectl", std::filesystem::perms::owner_all);
  }

  Result<std::unique_ptr<addon::ApiServer>> start() {
    addon::Connection connection;
    connection.program = folder_.path() / "kubectl";
    connection.context = "prod";
    return addon::ApiServer::start(addon::Kubectl(connection), folder_.path());
  }
  std::string called() const {
    std::ifstream in(folder_.path() / "called");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const TempFolder& folder() const { return folder_; }
  std::vector<std::string> requests() const { return service_.requests(); }

 private:
  TempFolder folder_;
  HttpService service_;
};

}  // namespace enclayer::fake
