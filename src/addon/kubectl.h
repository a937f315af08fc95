// SPDX-License-Identifier: Apache-2.0
// The user's kubectl, run as a program. Which cluster it is, who the user is there and how one logs in is kubectl's
// business: kubeconfig files, client certificates and login plugins work here as they do there, and nothing of them is
// read here. Requests to the API server go through api_server.h; what is left for kubectl itself are the proxy behind
// that, programs in pods and the diff that people know.
//
// No shell is in between. Output is bounded, and so is the time.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::addon {

struct Connection {
  std::string program;               // a path, see find_program()
  std::string context, kubeconfig;   // empty: kubectl's own choice
  std::chrono::seconds timeout{60};  // of a call that names none
};

struct Call {
  std::vector<std::string> arguments = {};  // what follows "kubectl --context ..."
  std::string doing = {};                   // for errors: "compare with what is there"
  std::string input = {};                   // standard input
  int also_good = 0;                  // an exit code that is no error either: 1 where `kubectl diff` found something
  std::size_t max_output = 64 << 20;  // bytes; more is kExhausted, and the program is ended
  std::chrono::seconds timeout{0};    // 0: the connection's
  int stop = -1;                      // a descriptor: once it is readable, the program is ended
};

struct Answer {
  int exit_code = 0;
  std::string out;
  std::string err;  // warnings of the API server, progress
};

class Kubectl {
 public:
  explicit Kubectl(Connection connection);

  // Runs it to its end. kIo, with kubectl's own words: it ended with another code than 0 and `also_good`; kTimedOut:
  // the deadline passed; kUnavailable: it was stopped; kNotFound: there is no such program.
  Result<Answer> run(const Call& call) const;

  std::vector<std::string> command(const std::vector<std::string>& arguments) const;

 private:
  Connection connection_;
};

// The path of `name` in the absolute folders of `search_path` (the value of PATH); what stands for the working directory
// there is left out, because whoever can write to it would be run. A name with a slash is a path already. kNotFound with
// what to install or to say otherwise.
Result<std::string> find_program(const std::string& name, std::string_view search_path);

}  // namespace enclayer::addon
