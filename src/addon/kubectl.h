// SPDX-License-Identifier: Apache-2.0
// The user's kubectl, run as a program. Which cluster it is, who the user is there and how one logs in is kubectl's
// business: kubeconfig files, client certificates and login plugins work here as they do there, and nothing of them is
// read here.
//
//   Kubectl kubectl({.program = "/usr/bin/kubectl", .context = "prod"});
//   auto nodes = kubectl.run({.arguments = {"get", "--raw", "/api/v1/nodes"}, .doing = "list nodes"});
//   if (!nodes && nodes.error().kind() == ErrorKind::kPermissionDenied) ...
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
  std::string doing = {};                   // for errors: "list nodes", "apply the add-on"
  std::string input = {};                   // standard input
  int also_good = 0;                  // an exit code that is no error either: 1 where `kubectl diff` found something
  std::size_t max_output = 64 << 20;  // bytes; more is kExhausted, and the program is ended
  std::chrono::seconds timeout{0};    // 0: the connection's
};

struct Answer {
  int exit_code = 0;
  std::string out;
  std::string err;  // warnings of the API server, progress
};

class Kubectl {
 public:
  explicit Kubectl(Connection connection);

  // Runs it to its end. What went wrong is told apart as kubectl_error() says; kTimedOut when the deadline passed,
  // kNotFound when there is no such program.
  Result<Answer> run(const Call& call) const;

  // All of them at the same time; the answers in the order of the calls.
  std::vector<Result<Answer>> run(const std::vector<Call>& calls) const;

  const Connection& connection() const { return connection_; }

 private:
  Connection connection_;
};

// The path of `name` as a shell would find it in `search_path` (the value of PATH); a name with a slash is a path
// already. kNotFound with what to install or to say otherwise.
Result<std::string> find_program(const std::string& name, std::string_view search_path);

// What kubectl meant when it ended with `exit_code` and said `err`:
//   kPermissionDenied  the API server knows the user but does not let him: user, verb and resource are named; or it
//   does
//                      not know him; or a policy refused
//   kInvalidArgument   no such context, no such kubeconfig, an object that the API server finds invalid
//   kUnavailable       the API server does not answer, or cannot now
//   kNotFound          no such object, or no such kind (an older cluster)
//   kConflict          another field manager holds the fields (its name and the fields are told), or the object is
//   there kIo                anything else: kubectl's own words
Error kubectl_error(const Call& call, int exit_code, std::string_view err);

}  // namespace enclayer::addon
